import type { Session } from '#proto/status.ts';
import type { Reported } from './reported.ts';
import type { DocumentSource } from './source.ts';

/** The module twin: desired properties as documents, reported properties, and whether its hub is there. */
export type ModuleTwin = DocumentSource &
  AsyncDisposable & { report(wanted: Reported): void; readonly session: Session };

import type { Session } from '#proto/status/status.ts';
import type { Reported } from '../report/reported.ts';
import type { DocumentSource } from '../source/source.ts';

/** The module twin: desired properties as documents, reported properties, and whether its hub is there. */
export type ModuleTwin = DocumentSource &
  AsyncDisposable & { report(wanted: Reported): void; readonly session: Session };

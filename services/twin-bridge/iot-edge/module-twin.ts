import type { TwinSession } from '#proto/status/status.ts';
import type { Reported } from '../report/reported.ts';
import type { DocumentSource } from '../source/source.ts';

/** The module twin: desired properties as documents, reported properties, and the state of its connection. */
export type ModuleTwin = DocumentSource &
  AsyncDisposable & { report(wanted: Reported): void; readonly session: TwinSession };

import { Type } from '@sinclair/typebox';
import { event, job } from './contract.ts';
import { Bytes, Digest, Instant, Repository } from './names.ts';

/** One blob going over the link. */

const Blob = { repository: Repository, digest: Digest, size: Bytes };

/** The wish that the layer had this blob. Whoever takes it first looks whether it is here already. */
export const fetchBlob = job('jobs.transfer.fetch', Type.Object({ ...Blob, pass: Type.String() }));

const Progress = { ...Blob, syncer: Type.String(), pass: Type.String() };

/** `present`: bytes that earlier attempts left here, which are not asked for again. */
export const transferStarted = event('transfer.started', Type.Object({ ...Progress, present: Bytes }));

/** At most once a second for each transfer. */
export const transferProgressed = event('transfer.progressed', Type.Object({ ...Progress, done: Bytes }));

/** The transfer waits before its next attempt. */
export const transferDelayed = event(
  'transfer.delayed',
  Type.Object({ ...Progress, code: Type.String(), reason: Type.String(), until: Instant }),
);

export const transferFinished = event('transfer.finished', Type.Object(Progress));

/** Given up for this pass; the next one tries again. */
export const transferFailed = event(
  'transfer.failed',
  Type.Object({ ...Progress, code: Type.String(), reason: Type.String() }),
);

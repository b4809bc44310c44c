import { findDeltas, listDeltas, locateDelta, refuseDelta } from '#proto/content/deltas.ts';
import { emptyReply, type On } from './on.ts';
import type { Storage } from './storage.ts';

/** Answers the requests of `proto/content/deltas.ts`. */
export function serveDeltas(on: On, { deltas }: Storage): void {
  on(findDeltas, (q) => deltas.find(q));
  on(locateDelta, (q) => deltas.locate(q.repository, q.digest));
  on(refuseDelta, (q) => deltas.refuse(q).then(emptyReply));
  on(listDeltas, (q) => deltas.list(q));
}

import { listMarks, listSubjects, storeMarks } from '#proto/sync/marks.ts';
import {
  dropSession,
  getSession,
  keepSession,
  listParked,
  listUnsent,
  listWithdrawn,
  park,
  recordParent,
  settleOutgoing,
  unpark,
} from '#proto/sync/outgoing.ts';
import { nothing, type On } from './on.ts';
import type { Storage } from './storage.ts';

/** Answers the requests of `proto/sync/marks.ts` and `proto/sync/outgoing.ts`. */
export function serveOutgoing(on: On, { outgoing, marks }: Storage): void {
  on(listMarks, (q) => marks.list(q.scopeHash, q));
  on(storeMarks, (q) => marks.keep(q.scopeHash, q.marks).then(nothing));
  on(listSubjects, (q) => marks.subjects(q.repository, q));
  on(listUnsent, (q) => outgoing.listUnsent(q));
  on(listWithdrawn, (q) => outgoing.listWithdrawn(q));
  on(settleOutgoing, (q) => outgoing.settle(q).then(nothing));
  on(recordParent, (q) => outgoing.recordParent(q));
  on(park, (q) => outgoing.park(q).then(nothing));
  on(unpark, (q) => outgoing.unpark(q.repository, q.reference).then(nothing));
  on(listParked, (q) => outgoing.listParked(q));
  on(keepSession, (q) => outgoing.keepSession(q.repository, q.digest, q.location).then(nothing));
  on(getSession, (q) => outgoing.session(q.repository, q.digest));
  on(dropSession, (q) => outgoing.dropSession(q.repository, q.digest).then(nothing));
}

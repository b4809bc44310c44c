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
import { noReply, type On } from './on.ts';
import type { Storage } from './storage.ts';

/** Answers the requests of `proto/sync/marks.ts` and `proto/sync/outgoing.ts`. */
export function serveOutgoing(on: On, { outgoing, marks }: Storage): void {
  on(listMarks, (q) => marks.list(q.scopeHash, q));
  on(storeMarks, (q) => marks.keep(q.scopeHash, q.marks).then(noReply));
  on(listSubjects, (q) => marks.subjects(q.repository, q));
  on(listUnsent, (q) => outgoing.listUnsent(q));
  on(listWithdrawn, (q) => outgoing.listWithdrawn(q));
  on(settleOutgoing, (q) => outgoing.settle(q).then(noReply));
  on(recordParent, (q) => outgoing.recordParent(q));
  on(park, (q) => outgoing.park(q).then(noReply));
  on(unpark, (q) => outgoing.unpark(q.repository, q.reference).then(noReply));
  on(listParked, (q) => outgoing.listParked(q));
  on(keepSession, (q) => outgoing.keepSession(q.repository, q.digest, q.location).then(noReply));
  on(getSession, (q) => outgoing.session(q.repository, q.digest));
  on(dropSession, (q) => outgoing.dropSession(q.repository, q.digest).then(noReply));
}

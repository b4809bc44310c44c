import { listBehind, recordBehind, syncRepositories, syncTags } from '#proto/sync/behind.ts';
import { listMarks, listSubjects, storeMarks } from '#proto/sync/marks.ts';
import {
  dropSession,
  getSession,
  listParked,
  listUnsent,
  listWithdrawn,
  park,
  recordParent,
  settleOutgoing,
  storeSession,
  unpark,
} from '#proto/sync/outgoing.ts';
import { emptyReply, type On } from './on.ts';
import type { Storage } from './storage.ts';

/** Answers the requests of `proto/sync/behind.ts`, `proto/sync/marks.ts` and `proto/sync/outgoing.ts`. */
export function serveOutgoing(on: On, { outgoing, marks, behind, overview }: Storage): void {
  on(recordBehind, (q) => behind.record(q).then(emptyReply));
  on(listBehind, (q) => behind.listRepositories(q));
  on(syncRepositories, (q) => overview.repositories(q));
  on(syncTags, (q) => overview.tags(q));
  on(listMarks, (q) => marks.list(q.scopeHash, q));
  on(storeMarks, (q) => marks.store(q.scopeHash, q.marks).then(emptyReply));
  on(listSubjects, (q) => marks.subjects(q.repository, q));
  on(listUnsent, (q) => outgoing.listUnsent(q));
  on(listWithdrawn, (q) => outgoing.listWithdrawn(q));
  on(settleOutgoing, (q) => outgoing.settle(q).then(emptyReply));
  on(recordParent, (q) => outgoing.recordParent(q));
  on(park, (q) => outgoing.park(q).then(emptyReply));
  on(unpark, (q) => outgoing.unpark(q.repository, q.reference).then(emptyReply));
  on(listParked, (q) => outgoing.listParked(q));
  on(storeSession, ({ repository, digest, ...session }) =>
    outgoing.storeSession(repository, digest, session).then(emptyReply),
  );
  on(getSession, (q) => outgoing.session(q.repository, q.digest));
  on(dropSession, (q) => outgoing.dropSession(q.repository, q.digest).then(emptyReply));
}

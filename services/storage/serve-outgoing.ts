import type { Static } from '@sinclair/typebox';
import { listBehind, recordBehind, syncRepositories, syncTags } from '#proto/sync/behind.ts';
import { listMarks, listSubjects, storeMarks } from '#proto/sync/marks.ts';
import {
  beginSending,
  dropSending,
  dropSession,
  getSession,
  listParked,
  listSending,
  listUnsent,
  listWithdrawn,
  park,
  recordParent,
  settleOutgoing,
  storeSession,
  unpark,
} from '#proto/sync/outgoing.ts';
import { endLinkPause, getLinkPause, setLinkPause } from '#proto/sync/pause.ts';
import { emptyReply, type On } from './on.ts';
import type { Storage } from './storage.ts';

/** Answers the requests of `behind`, `marks`, `outgoing` and `pause` in `proto/sync/`. */
export function serveOutgoing(on: On, { outgoing, marks, behind, overview, pause, audit }: Storage): void {
  on(recordBehind, (q) => behind.record(q).then(emptyReply));
  on(listBehind, (q) => behind.listRepositories(q));
  on(syncRepositories, (q) => overview.repositories(q));
  on(syncTags, (q) => overview.tags(q));
  on(listMarks, (q) => marks.list(q.scopeHash, q));
  on(storeMarks, (q) => marks.store(q.scopeHash, q.marks).then(emptyReply));
  on(listSubjects, (q) => marks.subjects(q.repository, q));
  on(listUnsent, (q) => outgoing.listUnsent(q));
  on(listWithdrawn, (q) => outgoing.listWithdrawn(q));
  on(beginSending, (q) => outgoing.beginSending(q).then(emptyReply));
  on(listSending, (q) => outgoing.listSending(q));
  on(dropSending, (q) => outgoing.dropSending(q.tags).then(emptyReply));
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
  on(setLinkPause, async (q) => ({
    paused: await audit.change({ action: 'link/pause', ...auditOf(q) }, () => pause.set(q)),
  }));
  on(endLinkPause, async () => {
    const ended = await audit.change({ action: 'link/resume' }, () => pause.end());
    return ended ? { ended } : {};
  });
  on(getLinkPause, async () => (pause.current ? { paused: pause.current } : {}));
}

function auditOf({ reason, forMs }: Static<typeof setLinkPause.query>) {
  const detail = {
    ...(reason !== undefined && { reason }),
    ...(forMs !== undefined && { seconds: Math.round(forMs / 1_000) }),
  };
  return Object.keys(detail).length > 0 ? { detail } : {};
}

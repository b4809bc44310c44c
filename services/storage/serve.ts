import { setTimeout as sleep } from 'node:timers/promises';
import {
  activateChild,
  askRoom,
  chargeChild,
  checkChild,
  childAccounts,
  deactivateChild,
  layerInstance,
  listChildren,
} from '#proto/accounts/children.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { RequestSender } from '#proto/bus/caller.ts';
import { listArriving, locateArriving } from '#proto/content/arriving.ts';
import { cancelBackup, runBackup } from '#proto/content/backups.ts';
import { linkBlobs, locateBlob, missingBlobs, repositoriesOfBlob, unlinkBlob } from '#proto/content/blobs.ts';
import { describeImages } from '#proto/content/images.ts';
import {
  abortUpload,
  claimTransfer,
  claimTransfers,
  claimUpload,
  commitBlob,
  commitTransfers,
  discardIngest,
  releaseClaim,
  renewClaim,
  startUpload,
  uploadStatus,
} from '#proto/content/ingests.ts';
import { listRecorded, recordLeftOut } from '#proto/content/left-out-referrers.ts';
import {
  checkContent,
  collectGarbage,
  listDamaged,
  scrub,
  scrubProgress,
} from '#proto/content/maintenance.ts';
import {
  deleteManifest,
  deleteSynchronized,
  deleteTag,
  getManifest,
  listBases,
  listDiffering,
  listLeftOut,
  listReferrers,
  listRepositories,
  listTags,
  missingManifests,
  putManifest,
  putTag,
  setBases,
} from '#proto/content/manifests.ts';
import { compareRestored, getRestored } from '#proto/content/restored.ts';
import { isFenced, type Term, takeTerm } from '#proto/content/terms.ts';
import { toWire, type WireFault } from '#proto/contract/fault.ts';
import { addAudit } from '#proto/status/audit.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { getWebhookPosition, retainWebhooks, storeWebhookPosition } from '#proto/status/webhooks.ts';
import { getCursor, listChanges, storeCursor } from '#proto/sync/changes.ts';
import { currentCaller, runAs } from './audit/caller-context.ts';
import type { ReportAdmission } from './history/history-room.ts';
import { emptyReply, type On } from './on.ts';
import { serveAccounts } from './serve-accounts.ts';
import { serveArchives } from './serve-archives.ts';
import { serveDeltas } from './serve-deltas.ts';
import { serveOutgoing } from './serve-outgoing.ts';
import type { Storage } from './storage.ts';

/** Max wait for requests in flight at shutdown, in ms. */
const DRAIN_TIMEOUT_MS = 2_000;

/** Answers every request that storage owns. Disposal takes no new ones and waits at most 2 s for those in flight. */
export function serve(bus: Bus, storage: Storage, room: ReportAdmission): AsyncDisposable {
  const { blobs, ingests, manifests, leftOutReferrers, tags } = storage;
  const inFlight = new Set<Promise<unknown>>();
  const stops: (() => Promise<void>)[] = [];
  const on: On = (contract, handler) => {
    const fenced = isFenced(contract);
    const run: typeof handler = (query) => {
      if (!fenced) return handler(query);
      const { term, ...rest } = query as { term?: Term };
      return storage.fence.run(term, () => handler(rest as typeof query));
    };
    const tracked = (query: Parameters<typeof handler>[0], caller: RequestSender) => {
      const answer = runAs(caller, () => run(query));
      const done = answer.then(emptyReply, emptyReply).finally(() => inFlight.delete(done));
      inFlight.add(done);
      return answer;
    };
    stops.push(bus.serve(contract, tracked));
  };

  on(locateBlob, (q) => blobs.locate(q.repository, q.digest));
  on(missingBlobs, async (q) => ({ digests: await blobs.missing(q.digests) }));
  on(linkBlobs, (q) => blobs.link(q.repository, q.digests, q.from).then(emptyReply));
  on(repositoriesOfBlob, async (q) => ({ repositories: await blobs.repositories(q.digest, q.limit) }));
  on(unlinkBlob, (q) => blobs.unlink(q.repository, q.digest).then(emptyReply));
  on(commitBlob, async (q) => ({ size: await blobs.commit(q) }));
  on(commitTransfers, (q) => answerEach(q.blobs, (blob) => blobs.commit(blob).then(emptyReply)));

  on(startUpload, (q) => ingests.startUpload(q));
  on(claimUpload, (q) => ingests.claimUpload(q));
  on(uploadStatus, (q) => ingests.uploadStatus(q));
  on(abortUpload, (q) => ingests.abortUpload(q).then(emptyReply));
  on(claimTransfer, (q) => ingests.claimTransfer(q));
  on(claimTransfers, ({ by, blobs: wanted }) =>
    answerEach(wanted, async (blob) => ({ claim: await ingests.claimTransfer({ ...blob, by }) })),
  );
  on(renewClaim, (q) => ingests.renew(q).then(emptyReply));
  on(releaseClaim, (q) => ingests.release(q).then(emptyReply));
  on(discardIngest, (q) => ingests.discard(q).then(emptyReply));

  on(putManifest, (q) => manifests.put(q));
  on(getManifest, (q) => manifests.get(q.repository, q.reference));
  on(missingManifests, async (q) => ({ digests: await manifests.missing(q.repository, q.digests) }));
  on(deleteManifest, (q) => manifests.delete(q.repository, q.digest, q.arrived).then(emptyReply));
  on(listLeftOut, (q) => manifests.listLeftOut(q.repository, q));
  on(listReferrers, (q) => manifests.referrers(q.repository, q.digest, q.artifactType, q));

  on(describeImages, (q) => storage.images.describe(q));

  on(recordLeftOut, (q) => leftOutReferrers.record(q).then(emptyReply));
  on(listRecorded, (q) => leftOutReferrers.list(q));

  on(putTag, (q) => tags.put(q.repository, q).then(emptyReply));
  on(deleteTag, (q) => tags.delete(q.repository, q.tag, q).then(emptyReply));
  on(listTags, (q) => tags.list(q.repository, q));
  on(listBases, (q) => tags.listBases(q.repository, q));
  on(listDiffering, (q) => tags.listDiffering(q));
  on(setBases, (q) => tags.setBases(q.repository, q.bases).then(emptyReply));
  on(listRepositories, (q) => tags.listRepositories(q));
  on(deleteSynchronized, (q) => manifests.deleteSynchronized(q.repository));
  on(storageStatus, () => storage.status());

  on(takeTerm, async (q) => ({ term: await storage.fence.take(q.by) }));

  on(listChanges, (q) => storage.feed.list(q));
  on(storeCursor, (q) => storage.parentCursor.store(q.scopeHash, q.cursor).then(emptyReply));
  on(getCursor, (q) => storage.parentCursor.get(q.scopeHash));

  on(listArriving, () => storage.arriving.list());
  on(locateArriving, (q) => storage.arriving.locate(q.repository, q.digest));
  const { children, audit } = storage;
  on(activateChild, (q) => children.activate(q));
  on(checkChild, async (q) => ({ free: await children.isFree(q) }));
  on(chargeChild, async (q) => {
    room.charge(q.child, q.bytes);
    return {};
  });
  on(askRoom, (q) => room.admit(q.child, q.bytes, q.charged).then(emptyReply));
  on(childAccounts, (q) => children.accounts(q.names));
  on(listChildren, (q) => children.list(q));
  on(deactivateChild, (q) =>
    audit.change({ action: 'child/deactivate', subject: q.name }, () => children.deactivate(q.name)),
  );
  on(addAudit, (q) => audit.add(q.entries, currentCaller()).then(emptyReply));
  on(layerInstance, () => children.getIdentity());

  on(collectGarbage, ({ dryRun, explain = false, now: endsGrace = false }) =>
    storage.garbage.collect(dryRun, { explain, endsGrace }),
  );
  on(scrub, (q) => storage.scrubber.scrub(q.rate, q.join));
  on(scrubProgress, async () => {
    const running = storage.scrubber.progress;
    return running ? { running } : {};
  });
  on(checkContent, async (q) => ({ intact: await storage.scrubber.check(q.digest) }));
  on(runBackup, (q) => storage.backups.run(q));
  on(getRestored, async () => {
    const { current } = storage.restored;
    return current ? { restored: current } : {};
  });
  on(compareRestored, (q) => storage.restored.compare(q).then(emptyReply));
  on(cancelBackup, () => storage.backups.cancel().then(emptyReply));
  on(listDamaged, (q) => storage.scrubber.listDamaged(q));

  const { webhooks } = storage;
  on(getWebhookPosition, (q) => webhooks.get(q.webhook));
  on(storeWebhookPosition, (q) => webhooks.store(q.webhook, q.place).then(emptyReply));
  on(retainWebhooks, (q) => webhooks.retain(q.webhooks).then(emptyReply));

  serveArchives(on, storage);
  serveDeltas(on, storage);
  serveOutgoing(on, storage);
  serveAccounts(on, storage);

  return {
    async [Symbol.asyncDispose]() {
      const drain = async () => {
        await Promise.all(stops.map((stop) => stop()));
        await Promise.all(inFlight);
      };
      await Promise.race([drain(), sleep(DRAIN_TIMEOUT_MS, undefined, { ref: false })]);
    },
  };
}

/** Does the same for each item at once. A failure is the answer to its item alone. */
async function answerEach<T, A extends object>(
  items: readonly T[],
  work: (item: T) => Promise<A>,
): Promise<{ answers: (A | { fault: WireFault })[] }> {
  const answers = items.map((item) => work(item).catch((error) => ({ fault: toWire(error) })));
  return { answers: await Promise.all(answers) };
}

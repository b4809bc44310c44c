import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { linkBlobs, locateBlob, missingBlobs, repositoriesOfBlob, unlinkBlob } from '#proto/content/blobs.ts';
import {
  abortUpload,
  claimTransfer,
  claimUpload,
  commitBlob,
  discardIngest,
  releaseClaim,
  renewClaim,
  startUpload,
  uploadStatus,
} from '#proto/content/ingests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { METADATA } from '#proto/volume/layout.ts';
import type { ContentStore } from '../../../services/storage/content/content-store.ts';
import { type Client, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import type { ContentHarness } from './suite/content-harness.ts';
import { contentSuite } from './suite/content-suite.ts';

/** The same contract, by the requests of the gateway and the syncer. */

const buses = await sharedBuses();

/** Content by requests: uploads and links by the gateway, transfers by the syncer. */
const requestsOf = (gateway: Client, syncer: Client): ContentStore => ({
  blobs: {
    locate: (repository, digest) => gateway.call(locateBlob, { repository, digest }),
    missing: async (digests) => (await gateway.call(missingBlobs, { digests })).digests,
    repositories: async (digest, limit) =>
      (await syncer.call(repositoriesOfBlob, { digest, limit })).repositories,
    link: async (repository, digests, from) => {
      await gateway.call(linkBlobs, { repository, digests, ...(from !== undefined && { from }) });
    },
    unlink: async (repository, digest) => {
      await gateway.call(unlinkBlob, { repository, digest });
    },
    commit: async (query) => (await gateway.call(commitBlob, query)).size,
  },
  ingests: {
    startUpload: (query) => gateway.call(startUpload, query),
    claimUpload: (query) => gateway.call(claimUpload, query),
    uploadStatus: (query) => gateway.call(uploadStatus, query),
    abortUpload: async (query) => {
      await gateway.call(abortUpload, query);
    },
    claimTransfer: (transfer) => syncer.call(claimTransfer, transfer),
    renew: async ({ id, claim }) => {
      await gateway.call(renewClaim, { id, claim });
    },
    release: async ({ id, claim }) => {
      await gateway.call(releaseClaim, { id, claim });
    },
    discard: async ({ id, claim }) => {
      await syncer.call(discardIngest, { id, claim });
    },
  },
});

async function open(): Promise<ContentHarness> {
  const rig = await Rig.open(buses);
  return {
    store: requestsOf(rig.gateway, rig.syncer),
    events: rig.events,
    garbage: { collect: (dryRun) => rig.storage.garbage.collect(dryRun) },
    get now() {
      return rig.now;
    },
    set now(ms) {
      rig.now = ms;
    },
    status: () => rig.gateway.call(storageStatus, {}),
    open: async (claim) => {
      const file = await rig.gateway.volume.openIngest(claim);
      return {
        write: (bytes, position) => file.write([bytes], position),
        sync: () => file.sync(),
        [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
      };
    },
    resume: (claim) => rig.gateway.volume.resumeClaim(claim),
    suspend: (claim) => rig.gateway.volume.suspendClaim(claim),
    read: ({ path }) => readFile(join(rig.data, path)),
    restart: () => rig.restart(),
    reboot: async () => {
      await rig.stop();
      const db = new Level<string, unknown>(join(rig.data, METADATA), { valueEncoding: 'json' });
      await db.put('x!boot', 'another boot');
      await db.close();
      await rig.start();
    },
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
}

contentSuite('storage over the bus', open);

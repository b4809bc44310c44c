import { createHash } from 'node:crypto';
import type { ArrivingBlob } from '#proto/content/arriving.ts';
import type { BlobPlace } from '#proto/content/blobs.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { BlobStore } from './blob-store.ts';
import type { IngestManager } from './content-store.ts';
import type { Grace } from './grace.ts';
import { transferId, transferPath } from './ingest-folders.ts';

/** Max ingests listed: a reply must fit into one bus message. */
const MAX_INGESTS = 1_000;

type ArrivingDeps = {
  ingests: IngestManager;
  metadata: Metadata;
  store: BlobStore;
  grace: Grace;
};

/** Blobs in transfer from the parent, for the children. Faults: see `proto/content/arriving.ts`. */
export class ArrivingContent {
  readonly #deps: ArrivingDeps;

  constructor(deps: ArrivingDeps) {
    this.#deps = deps;
  }

  async list(): Promise<ArrivingBlob[]> {
    const entries = await this.#deps.ingests.list(MAX_INGESTS);
    return entries.flatMap(({ holder, record: { purpose, repository, digest, size, claim, part } }) => {
      if (purpose !== 'transfer' || holder === undefined) return [];
      if (repository === undefined || digest === undefined || size === undefined || !claim) return [];
      return [{ repository, digest, size, attempt: attemptOf(claim.token), ...(part && { part }) }];
    });
  }

  async locate(repository: string, digest: string): Promise<BlobPlace & { incomplete: boolean }> {
    const { metadata, store, grace } = this.#deps;
    await grace.renew(digest);
    // Read in the order in which content moves, the ingest before the blob: a commit in between is still seen.
    const record = await metadata.ingest(transferId(digest));
    const [blob, link, [transferred]] = await Promise.all([
      metadata.blob(digest),
      metadata.link(repository, digest),
      metadata.transferredByDigest([digest]),
    ]);
    if (blob && (link || transferred?.repository === repository)) {
      return { path: store.path(digest), size: blob.size, incomplete: false };
    }
    if (!blob && record?.repository === repository && record.size !== undefined) {
      return { path: transferPath(digest), size: record.size, incomplete: true };
    }
    throw new Fault('blob-unknown', `blob ${digest} is not on its way to repository ${repository}`, {
      detail: { digest },
    });
  }
}

/** A hash, because the claim token itself grants the right to write. */
const attemptOf = (token: string): string => createHash('sha256').update(token).digest('hex').slice(0, 12);

import { createHash } from 'node:crypto';
import type { Arriving, ArrivingBlob, ArrivingDelta } from '#proto/content/arriving.ts';
import type { BlobPlace } from '#proto/content/blobs.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { BlobStore } from './blob-store.ts';
import type { IngestManager } from './content-store.ts';
import type { Grace } from './grace.ts';
import { transferId, transferPath } from './ingest-folders.ts';

/** Max ingests, and max deltas, that are listed: a reply must fit into one bus message. */
const MAX_INGESTS = 1_000;
const MAX_DELTAS = 100;
/** Max deltas to one blob that are listed, the last used ones. */
const MAX_KEPT = 2;

type ArrivingDeps = {
  ingests: IngestManager;
  metadata: Metadata;
  store: BlobStore;
  grace: Grace;
  /** `of`: digests of the deltas to a blob that are kept. */
  deltaCache: { readonly index: { of(to: string): string[] } };
};

/** Blobs and deltas in transfer from the parent, for the children. Faults: see `proto/content/arriving.ts`. */
export class ArrivingContent {
  readonly #deps: ArrivingDeps;

  constructor(deps: ArrivingDeps) {
    this.#deps = deps;
  }

  /**
   * Deltas are in a list of their own: a child that does not know them would fetch them as blobs. Those that are here
   * are listed until their target is.
   */
  async list(): Promise<Omit<Arriving, 'cursor'>> {
    const blobs: ArrivingBlob[] = [];
    const deltas: ArrivingDelta[] = [];
    for (const { holder, record } of await this.#deps.ingests.list(MAX_INGESTS)) {
      const { purpose, repository, digest, size, claim, part, delta } = record;
      if (purpose !== 'transfer' || holder === undefined) continue;
      if (repository === undefined || digest === undefined || size === undefined || !claim) continue;
      const blob = { repository, digest, size, attempt: attemptOf(claim.token), ...(part && { part }) };
      if (delta) deltas.push({ ...blob, delta });
      else {
        blobs.push(blob);
        for (const kept of await this.#kept(blob)) deltas.push(kept);
      }
    }
    return { blobs, ...(deltas.length > 0 && { deltas: deltas.slice(0, MAX_DELTAS) }) };
  }

  /** The deltas to a blob that are here. */
  async #kept(target: ArrivingBlob): Promise<ArrivingDelta[]> {
    const { metadata, deltaCache } = this.#deps;
    const kept: ArrivingDelta[] = [];
    for (const digest of deltaCache.index.of(target.digest).slice(-MAX_KEPT)) {
      const record = await metadata.delta(digest);
      if (!record) continue;
      const { to, toSize, from, format, kind, cpuMs, size } = record;
      kept.push({ ...target, digest, size, delta: { to, toSize, from, format, kind, cpuMs } });
    }
    return kept;
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
    if (!blob && record?.repository === repository && record.size !== undefined && !record.delta) {
      return { path: transferPath(digest), size: record.size, incomplete: true };
    }
    throw new Fault('blob-unknown', `blob ${digest} is not on its way to repository ${repository}`, {
      detail: { digest },
    });
  }
}

/** A hash, because the claim token itself grants the right to write. */
const attemptOf = (token: string): string => createHash('sha256').update(token).digest('hex').slice(0, 12);

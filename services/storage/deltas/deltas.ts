import type { Static } from '@sinclair/typebox';
import type { BlobPlace } from '#proto/content/blobs.ts';
import {
  type DeltaRecord,
  type findDeltas,
  type HeldDelta,
  type listDeltas,
  MAX_WANTED,
  type RefusedDelta,
} from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { BlobStore } from '../content/blob-store.ts';
import type { Grace } from '../content/grace.ts';
import { transferId, transferPath } from '../content/ingest-folders.ts';
import type { AgeClock } from '../metadata/age-clock.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { KeptDelta } from '../metadata/records.ts';
import { DeltaAccess } from './delta-access.ts';
import type { DeltaCache } from './delta-cache.ts';
import { listKept } from './delta-list.ts';
import { linkedBy, linkingRepositories } from './named-content.ts';
import { isSamePair, type RefusedPairs } from './refused-pairs.ts';

/*
 * Deltas: content with a digest of its own, which a record (`L!`) holds, and no repository links. They are a cache:
 * each may be deleted at any time, and is made again, or its target crosses the link in full.
 *
 *   deltas.ts          what readers ask: find, locate, list, refuse
 *   delta-cache.ts     records, written with the commit of the content; eviction
 *   delta-index.ts     all deltas in the order of their last use, in memory
 *   delta-list.ts      pages of deltas and refused pairs, for people
 *   delta-file.ts      whether a file is the delta that a record describes
 *   delta-access.ts    which targets a repository has
 *   refused-pairs.ts   pairs of bases and target that are not tried again
 *   named-content.ts   which repositories link content
 *
 * A crash leaves content and record, or neither: both are written in one batch, and deleted in one.
 */

/** Max deltas of one blob that are read, the last used ones; and max that are answered, the smallest. */
const MAX_READ = 32;
const MAX_FOUND = 4;
/** Max refused pairs of one blob that are answered, and of all. */
const [MAX_REFUSED_EACH, MAX_REFUSED] = [64, MAX_FOUND * MAX_WANTED];
/** Max time for which a delta stays after its last use, above the budget, in ms. */
const MAX_LEASE_MS = 60 * 60_000;

export type DeltasDeps = {
  metadata: Metadata;
  store: BlobStore;
  grace: Grace;
  deltaCache: DeltaCache;
  refusedPairs: RefusedPairs;
  age: Pick<AgeClock, 'wallOf'>;
  log: Log;
};

type FindQuery = Static<typeof findDeltas.query>;
type Found = Static<typeof findDeltas.reply>;
type Place = BlobPlace & DeltaRecord & { incomplete: boolean };

/** Answers questions about deltas. Promises and faults of the methods: see `proto/content/deltas.ts`. */
export class Deltas {
  readonly #deps: DeltasDeps;

  constructor(deps: DeltasDeps) {
    this.#deps = deps;
  }

  /** Counts for the status; undefined if there is nothing to count. */
  get counts(): { count: number; bytes: number; refused: number } | undefined {
    const { deltaCache, refusedPairs } = this.#deps;
    const { count, bytes } = deltaCache.index;
    const refused = refusedPairs.count;
    return count + refused > 0 ? { count, bytes, refused } : undefined;
  }

  /** Without `isOff`, a delta stays for `leaseMs` after its last use, an hour at most. */
  configure({ isOff, maxBytes }: { isOff: boolean; maxBytes: number }, leaseMs: number): void {
    const { deltaCache, refusedPairs, log } = this.#deps;
    const lease = Math.min(leaseMs, MAX_LEASE_MS);
    deltaCache.limits = isOff ? { maxBytes: 0, leaseMs: 0 } : { maxBytes, leaseMs: lease };
    if (!isOff) return;
    const isDropped = async () => true;
    refusedPairs.drop(isDropped).catch((err) => log.debug({ err }, 'refused pairs could not be dropped'));
  }

  async find({ repository, wanted, held, elsewhere = false }: FindQuery): Promise<Found> {
    const { metadata, deltaCache, refusedPairs } = this.#deps;
    const targets = [...new Set(wanted)];
    const access = await DeltaAccess.of(metadata, repository, targets);
    const known = new Set(held);
    const isCovered = ({ from }: { from: string[] }) => from.every((digest) => known.has(digest));
    const deltas: HeldDelta[] = [];
    const refused: RefusedDelta[] = [];
    const maxRefused = Math.min(MAX_REFUSED_EACH, Math.floor(MAX_REFUSED / Math.max(1, targets.length)));
    for (const to of targets) {
      const all = await this.#committed(deltaCache.index.of(to).slice(-MAX_READ));
      const found = all
        .filter(([, delta]) => isCovered(delta) && access.mayRead(delta))
        .sort(([, a], [, b]) => a.size - b.size)
        .slice(0, MAX_FOUND);
      for (const [digest, delta] of found) {
        deltaCache.touch(digest);
        deltas.push({ ...factsOf(delta), digest, size: delta.size });
      }
      if (!access.hasTarget(to)) continue;
      for (const pair of await refusedPairs.of(to, isCovered, maxRefused)) refused.push(pair);
    }
    return { deltas, refused, bases: await this.#bases(repository, [...known], elsewhere) };
  }

  async locate(repository: string, digest: string): Promise<Place> {
    const { metadata, store, grace, deltaCache } = this.#deps;
    await grace.renew(digest);
    // Read in the order in which content moves, the ingest before the blob: a commit in between is still seen.
    const ingest = await metadata.ingest(transferId(digest));
    const [delta, blob] = await Promise.all([metadata.delta(digest), metadata.blob(digest)]);
    if (delta && blob && (await DeltaAccess.of(metadata, repository, [delta.to])).mayRead(delta)) {
      deltaCache.touch(digest);
      return { ...factsOf(delta), path: store.path(digest), size: blob.size, incomplete: false };
    }
    if (!blob && ingest?.delta && ingest.size !== undefined && ingest.repository === repository)
      return { ...ingest.delta, path: transferPath(digest), size: ingest.size, incomplete: true };
    throw new Fault('blob-unknown', `repository ${repository} has no delta ${digest}`, {
      detail: { digest },
    });
  }

  async refuse(pair: RefusedDelta): Promise<void> {
    const { metadata, deltaCache, refusedPairs } = this.#deps;
    await refusedPairs.add(pair);
    if (pair.reason !== 'wrong') return;
    const digests = deltaCache.index.of(pair.to);
    const records = await metadata.deltasByDigest(digests);
    for (const [i, digest] of digests.entries()) {
      const record = records[i];
      if (record && isSamePair(record, pair)) await deltaCache.forget(digest);
    }
  }

  list(query: Static<typeof listDeltas.query>): Promise<Static<typeof listDeltas.reply>> {
    const { metadata, deltaCache, age } = this.#deps;
    return listKept({ metadata, index: deltaCache.index, wallOf: (instant) => age.wallOf(instant) }, query);
  }

  /** Those of `digests` that are committed. */
  async #committed(digests: string[]): Promise<[digest: string, delta: KeptDelta][]> {
    const { metadata } = this.#deps;
    const [records, blobs] = await Promise.all([
      metadata.deltasByDigest(digests),
      metadata.blobsByDigest(digests),
    ]);
    return digests.flatMap((digest, i): [string, KeptDelta][] =>
      records[i] && blobs[i] ? [[digest, records[i]]] : [],
    );
  }

  /** Those of `held` that are committed here. Their grace is renewed: a delta may be made of them. */
  async #bases(repository: string, held: string[], elsewhere: boolean): Promise<Found['bases']> {
    const { metadata, grace } = this.#deps;
    const blobs = await metadata.blobsByDigest(held);
    const digests = held.filter((_, i) => blobs[i]);
    using _ = await grace.holdAll(digests);
    const named = elsewhere ? linkingRepositories : linkedBy;
    const linking = await named(metadata, digests, repository);
    return held.flatMap((digest, i) =>
      blobs[i] ? [{ digest, size: blobs[i].size, repositories: linking.get(digest) ?? [] }] : [],
    );
  }
}

const factsOf = ({ to, toSize, from, format, kind, cpuMs }: DeltaRecord): DeltaRecord => ({
  ...{ to, toSize, from, format, kind, cpuMs },
});

import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { DeltaRecord } from '#proto/content/deltas.ts';
import type { Log } from '#proto/contract/log.ts';
import type { BlobStore } from '../content/blob-store.ts';
import type { DeltaKeeper } from '../content/content-store.ts';
import { GRACE_MS, type Grace } from '../content/grace.ts';
import { type Change, drop, type Metadata, put } from '../metadata/metadata.ts';
import { isDeltaFile } from './delta-file.ts';
import { DeltaIndex, type IndexedDelta } from './delta-index.ts';
import { isNamed } from './named-content.ts';

/** Max deltas: the index is in memory. */
const MAX_DELTAS = 10_000;
/** Min time between two writes of the last use of a delta, in ms. */
const STORE_MS = 60 * 60_000;
/** Leases count up to this multiple of the budget, or up to these bytes: with a small one, a delta is still applied. */
const LEASED_FACTOR = 1.5;
const MIN_LEASED_BYTES = 64 * 1024 * 1024;
/** Interval at which deltas whose lease has ended are evicted, in ms. */
const TRIM_MS = 60_000;
/** Records that are read at a time at the opening. */
const PAGE = 1_000;

export type DeltaCacheDeps = {
  metadata: Metadata;
  store: BlobStore;
  grace: Grace;
  locks: KeyedLock;
  log: Log;
  /** By which content ages, in ms. */
  now: () => number;
};

/** `maxBytes`: budget. `leaseMs`: a delta stays for this time after its last use, also somewhat above the budget. */
export type DeltaLimits = { maxBytes: number; leaseMs: number };

/** The deltas that are kept, and their eviction: the one that was not used for the longest time goes first. */
export class DeltaCache implements DeltaKeeper, AsyncDisposable {
  readonly index = new DeltaIndex();
  readonly #deps: DeltaCacheDeps;
  readonly #maxCount: number;
  #limits: DeltaLimits = { maxBytes: Number.POSITIVE_INFINITY, leaseMs: GRACE_MS };
  readonly #timer: NodeJS.Timeout;
  #trimming: Promise<void> | undefined;
  readonly #storing = new Set<Promise<void>>();
  #needsTrim = false;
  #isClosed = false;

  /** Reads all records. One without its content, which an earlier version of Terrace has deleted, is dropped. */
  static async open(deps: DeltaCacheDeps, maxCount = MAX_DELTAS): Promise<DeltaCache> {
    const { metadata } = deps;
    const cache = new DeltaCache(deps, maxCount);
    const found: [digest: string, delta: IndexedDelta][] = [];
    let page: typeof found = [];
    const addPage = async () => {
      const blobs = await metadata.blobsByDigest(page.map(([digest]) => digest));
      for (const [i, entry] of page.entries()) if (blobs[i]) found.push(entry);
      const lost = page.filter((_, i) => !blobs[i]);
      if (lost.length > 0) await metadata.write(lost.flatMap(([digest]) => drop.delta(digest)));
      page = [];
    };
    for await (const [digest, { to, size, used }] of metadata.allDeltas())
      if (page.push([digest, { to, size, used, stored: used }]) === PAGE) await addPage();
    await addPage();
    found.sort(([, a], [, b]) => a.used - b.used);
    for (const [digest, delta] of found) cache.index.set(digest, delta);
    return cache;
  }

  /** Without the deltas that are on record: see `open`. */
  constructor(deps: DeltaCacheDeps, maxCount = MAX_DELTAS) {
    this.#deps = deps;
    this.#maxCount = maxCount;
    this.#timer = setInterval(() => void this.trim(), TRIM_MS).unref();
  }

  /** In force at once. */
  set limits(limits: DeltaLimits) {
    this.#limits = limits;
    void this.trim();
  }

  async keep(
    { digest, size }: { digest: string; size: number },
    { to, toSize, from, format, kind, cpuMs }: DeltaRecord,
    repository: string | undefined,
    changes: Change[],
  ): Promise<void> {
    const { metadata, now } = this.#deps;
    const used = now();
    const known = await metadata.delta(digest);
    const record = {
      ...{ to, toSize, from, format, kind, cpuMs, size, used },
      made: known?.made ?? used,
      ...(repository !== undefined && { repository }),
    };
    await metadata.write([...changes, ...put.delta(digest, record)]);
    this.index.set(digest, { to, size, used, stored: used });
    void this.trim();
  }

  async keepCommitted(digest: string, delta: DeltaRecord, repository: string | undefined): Promise<void> {
    const { metadata, store, locks } = this.#deps;
    await locks.run(`blob ${digest}`, async () => {
      const blob = await metadata.blob(digest);
      if (!blob) return;
      if (this.index.get(digest)) this.touch(digest);
      else if (isDeltaFile(store.file(digest), blob.size, delta))
        await this.keep({ digest, size: blob.size }, delta, repository, []);
    });
  }

  /** It is used now. */
  touch(digest: string): void {
    const known = this.index.get(digest);
    if (!known) return;
    const used = this.#deps.now();
    const isDue = used - known.stored >= STORE_MS;
    this.index.set(digest, { ...known, used, stored: isDue ? used : known.stored });
    if (!isDue) return;
    const storing = this.#storeUse(digest, used)
      .catch((err) => this.#deps.log.debug({ err, digest }, 'last use of a delta could not be stored'))
      .finally(() => this.#storing.delete(storing));
    this.#storing.add(storing);
  }

  /**
   * Deletes the record of a delta, and its content unless something else names it, or a request in progress holds it.
   * @returns whether its content was deleted
   */
  forget(digest: string): Promise<boolean> {
    return this.#deps.locks.run(`blob ${digest}`, async () => {
      if (await this.#remove(digest)) return true;
      await this.#dropRecord(digest);
      return false;
    });
  }

  /**
   * Deletes a delta whose bytes are damaged. The caller has the blob's lock.
   * @returns false if the content is something else, or also something else
   */
  async dropDamaged(digest: string): Promise<boolean> {
    if (!this.index.get(digest)) return false;
    if (await this.#remove(digest)) return true;
    await this.#dropRecord(digest);
    return false;
  }

  /** Evicts deltas until the rest is within the limits, or in use. */
  trim(): Promise<void> {
    this.#needsTrim = true;
    this.#trimming ??= this.#trim()
      .catch((err) => this.#deps.log.warn({ err }, 'deltas could not be evicted; trying again'))
      .finally(() => {
        this.#trimming = undefined;
      });
    return this.#trimming;
  }

  /**
   * Evicts deltas, also ones in use, for space. Those whose content is linked stay: they take no more space than it
   * does. So do all while the files of deleted content are held: nothing would be freed.
   * @returns whether anything was freed
   */
  async relieve(need: { bytes: number; files: number }): Promise<boolean> {
    const { store, locks } = this.#deps;
    let [bytes, files] = [0, 0];
    for (const [digest, { size }] of [...this.index.byUse()]) {
      if (store.hold.current || (bytes >= need.bytes && files >= need.files)) break;
      if (!(await locks.run(`blob ${digest}`, () => this.#remove(digest)))) continue;
      bytes += size;
      files += 1;
    }
    if (files > 0)
      this.#deps.log.warn({ deltas: files, bytes }, 'deltas deleted: the data volume is short of space');
    return files > 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#trimming;
    await Promise.all(this.#storing);
  }

  async #trim(): Promise<void> {
    while (this.#needsTrim && !this.#isClosed) {
      this.#needsTrim = false;
      for (const [digest] of [...this.index.byUse()]) {
        if (this.#isClosed || !this.#isExcess(digest)) break;
        await this.#evict(digest);
      }
    }
  }

  /** Deletes a delta. One that a request in progress holds goes with a later run. */
  #evict(digest: string): Promise<void> {
    return this.#deps.locks.run(`blob ${digest}`, async () => {
      const isHeld = () => this.#deps.grace.leftMs(digest) === Number.POSITIVE_INFINITY;
      if (!(await this.#remove(digest)) && !isHeld()) await this.#dropRecord(digest);
    });
  }

  #isExcess(digest: string): boolean {
    const { bytes, count } = this.index;
    const { maxBytes, leaseMs } = this.#limits;
    if (bytes <= maxBytes && count <= this.#maxCount) return false;
    const maxLeasedBytes = Math.max(LEASED_FACTOR * maxBytes, MIN_LEASED_BYTES);
    if (bytes > maxLeasedBytes || count > LEASED_FACTOR * this.#maxCount) return true;
    const delta = this.index.get(digest);
    return !delta || delta.used + leaseMs <= this.#deps.now();
  }

  /** @returns false if something else names the content, or a request holds it: nothing is deleted */
  async #remove(digest: string): Promise<boolean> {
    const { metadata, store, grace } = this.#deps;
    if (!grace.mark(digest, true)) return false;
    try {
      if (await isNamed(metadata, digest)) return false;
      const isRemoved = await grace.remove([digest], async () => {
        // Record before file: a name without content must never exist.
        await metadata.write([...drop.blob(digest), ...drop.delta(digest)]);
        await store.remove(digest);
      });
      if (isRemoved) this.index.delete(digest);
      return isRemoved;
    } finally {
      grace.unmark(digest);
    }
  }

  async #dropRecord(digest: string): Promise<void> {
    await this.#deps.metadata.write(drop.delta(digest));
    this.index.delete(digest);
  }

  async #storeUse(digest: string, used: number): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run(`blob ${digest}`, async () => {
      const record = await metadata.delta(digest);
      if (record) await metadata.writeUnsynced(put.delta(digest, { ...record, used }));
    });
  }
}

import { createHash } from 'node:crypto';
import { mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import {
  blobDamaged,
  type Damaged,
  type Scrubbed,
  type ScrubProgress,
  scrubFinished,
} from '#proto/content/maintenance.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { METADATA, QUARANTINE } from '#proto/volume/layout.ts';
import type { Audit } from '../audit/audit.ts';
import { byAccount } from '../audit/caller-context.ts';
import type { BlobStore } from '../content/blob-store.ts';
import type { DeltaCache } from '../deltas/delta-cache.ts';
import { examineTables } from '../leveldb/examine.ts';
import { kinds } from '../metadata/keys.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { put } from '../metadata/metadata.ts';
import { type ListQuery, page } from '../metadata/page.ts';
import { ScrubRun } from './scrub-progress.ts';

const READ_BYTES = 1024 * 1024;
/** Max damaged digests in a result, which must fit into one bus message. */
const MAX_NAMED = 1_000;
/** Max findings about the metadata in a result, and max characters of each. */
const MAX_FINDINGS = 20;
const MAX_FINDING_LENGTH = 300;
/** Max repositories listed per damaged blob. */
const MAX_REPOSITORIES = 20;

type ScrubDeps = {
  metadata: Metadata;
  store: BlobStore;
  locks: KeyedLock;
  deltas: Pick<DeltaCache, 'dropDamaged'>;
  publish: Bus['publish'];
  audit: Audit;
  log: Log;
  /** By which content ages, in ms. */
  now: () => number;
  /** Wall clock, in ms since 1970. */
  wall: () => number;
};

/** Checks committed content against its digests, and quarantines what is damaged; a damaged delta is deleted. */
export class Scrubber {
  readonly #deps: ScrubDeps;
  readonly #rate: () => number;
  readonly #quarantine: string;
  readonly #metadata: string;
  /** Damage of the metadata found by the last scrub. Not stored: each start examines all of it. */
  damage: string[] = [];
  readonly #abort = new AbortController();
  readonly #checks = new Map<string, Promise<boolean>>();
  #running: { run: ScrubRun; result: Promise<Scrubbed> } | undefined;

  /** @param rate the current default rate, in bytes/s */
  constructor(deps: ScrubDeps, data: string, rate: () => number) {
    this.#deps = deps;
    this.#rate = rate;
    this.#quarantine = join(data, QUARANTINE);
    this.#metadata = join(data, METADATA);
  }

  /** Undefined while none runs. */
  get progress(): ScrubProgress | undefined {
    return this.#running?.run.progress;
  }

  /**
   * @param rate bytes/s, until the scrub ends
   * @param joins a scrub in progress is answered with its result
   * @throws Fault `busy` if one is in progress, unless it is joined
   */
  async scrub(rate = this.#rate(), joins = false): Promise<Scrubbed> {
    if (this.#running && joins) return this.#running.result;
    if (this.#running) throw new Fault('busy', 'a scrub is already running: wait until it ends');
    const summaryOf = ({ checked, damaged }: Scrubbed) => ({ checked, damaged: damaged.length });
    const { audit, metadata, wall } = this.#deps;
    const { blobs, bytes } = metadata.counters;
    const run = new ScrubRun(wall(), { blobs, bytes });
    const result = audit.change({ action: 'scrub/run' }, () => this.#scrub(rate, run), summaryOf);
    this.#running = { run, result };
    try {
      return await result;
    } finally {
      this.#running = undefined;
    }
  }

  async #scrub(rate: number, run: ScrubRun): Promise<Scrubbed> {
    const { metadata, publish, log } = this.#deps;
    const began = performance.now();
    const damaged: string[] = [];
    const pace = this.#paceAt(rate, (bytes) => {
      run.bytes += bytes;
    });
    for await (const [digest, { size }] of metadata.allBlobs()) {
      const isIntact = await this.#isIntact(digest, size, pace);
      run.checked += 1;
      if (isIntact || !(await this.#setAside(digest, size))) continue;
      run.damaged += 1;
      if (damaged.length < MAX_NAMED) damaged.push(digest);
    }
    const counters = await metadata.correctCounters();
    if (counters) log.error({ counters }, 'stored counters differed from the records by these; corrected');
    const findings = await examineTables(this.#metadata);
    this.damage = findings
      .slice(0, MAX_FINDINGS)
      .map(({ file, what }) => clip(`${file} ${what}`, MAX_FINDING_LENGTH));
    const { damage } = this;
    if (damage.length > 0) log.error({ damage }, 'metadata damaged; stop the layer and run "terrace repair"');
    const scrubbed = {
      ...{ checked: run.checked, bytes: run.bytes, damaged },
      ...(damage.length > 0 && { metadata: damage }),
      ms: Math.round(performance.now() - began),
    };
    log.info({ ...scrubbed, damaged: scrubbed.damaged.length }, 'scrub finished');
    publish(scrubFinished, { ...scrubbed, ...byAccount() });
    return scrubbed;
  }

  /**
   * Checks content that could not be read, one at a time and at the rate of a scrub; callers for one digest share a
   * check.
   * @returns false if it was quarantined, or does not exist
   */
  check(digest: string): Promise<boolean> {
    const running = this.#checks.get(digest);
    if (running) return running;
    const check = this.#deps.locks
      .run('check', () => this.#check(digest))
      .finally(() => this.#checks.delete(digest));
    this.#checks.set(digest, check);
    return check;
  }

  async #check(digest: string): Promise<boolean> {
    const record = await this.#deps.metadata.blob(digest);
    if (!record) return false;
    const { size } = record;
    if (await this.#isIntact(digest, size, this.#paceAt(this.#rate()))) return true;
    // It may have been replaced or deleted meanwhile.
    return !(await this.#setAside(digest, size)) && (await this.#deps.metadata.blob(digest)) !== undefined;
  }

  /** @returns waits until `bytes` more fit into the rate */
  #paceAt(rate: number, count: (bytes: number) => void = () => {}): (bytes: number) => Promise<void> {
    const began = performance.now();
    let total = 0;
    return async (bytes) => {
      total += bytes;
      count(bytes);
      const ahead = (total / rate) * 1_000 - (performance.now() - began);
      const { signal } = this.#abort;
      // Yields even without a delay, because requests take precedence.
      await sleep(Math.max(0, ahead), undefined, { signal }).catch(() => signal.throwIfAborted());
    };
  }

  /** Aborts a scrub or a check in progress. */
  abort(): void {
    this.#abort.abort(new Fault('unavailable', 'storage is shutting down: try again'));
  }

  async listDamaged({ after, limit }: ListQuery): Promise<{ damaged: Damaged[]; more: boolean }> {
    const { metadata } = this.#deps;
    const [entries, more] = await page(metadata.allDamaged(after), limit);
    const named = new Map<string, Damaged>(
      entries.map(([digest, { size }]) => [digest, { digest, size, repositories: [] }]),
    );
    for (const kind of [kinds.link, kinds.manifest]) {
      if (named.size === 0) break;
      for await (const [repository, digest] of metadata.named(kind)) {
        const damaged = named.get(digest);
        if (!damaged) continue;
        if (kind === kinds.manifest) {
          const record = await metadata.manifest(repository, digest);
          if (record) damaged.mediaType = record.mediaType;
        }
        const { repositories } = damaged;
        if (repositories.length < MAX_REPOSITORIES && !repositories.includes(repository)) {
          repositories.push(repository);
        }
      }
    }
    return { damaged: [...named.values()], more };
  }

  /** Whether the file exists and has this size and digest. */
  async #isIntact(digest: string, size: number, pace: (bytes: number) => Promise<void>): Promise<boolean> {
    try {
      await using file = await open(this.#deps.store.file(digest), 'r');
      if ((await file.stat()).size !== size) return false;
      const [algorithm, hex] = splitDigest(digest);
      const hash = createHash(algorithm);
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size + 1));
      for (let at = 0; at < size; ) {
        const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, at);
        if (bytesRead === 0) return false;
        hash.update(buffer.subarray(0, bytesRead));
        at += bytesRead;
        await pace(bytesRead);
      }
      return hash.digest('hex') === hex;
    } catch (error) {
      // Content that the disk cannot read is lost as well.
      if (['ENOENT', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
  }

  /** @returns false if it was deleted, as a delta is, or is intact because it was replaced in the meantime */
  async #setAside(digest: string, size: number): Promise<boolean> {
    const { metadata, store, locks, deltas, publish, log, now } = this.#deps;
    return locks.run(`blob ${digest}`, async () => {
      if (!(await metadata.blob(digest))) return false;
      if (await this.#isIntact(digest, size, async () => {})) return false;
      if (await deltas.dropDamaged(digest)) {
        log.warn({ digest, size }, 'delta damaged or missing; deleted');
        return false;
      }
      await mkdir(this.#quarantine, { recursive: true });
      // Record before file: a file without a record is not content, a record without its file would be.
      await metadata.write(put.damaged(digest, { size, since: now() }));
      const aside = join(this.#quarantine, `${digest.replace(':', '-')}-${now()}`);
      await rename(store.file(digest), aside).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      log.error({ digest, size }, 'content damaged or missing; quarantined until it is supplied again');
      publish(blobDamaged, { digest, size });
      return true;
    });
  }
}

import { each } from '#proto/async/each.ts';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { BlobStore } from '../content/blob-store.ts';
import type { SpaceGuard } from '../content/space-guard.ts';
import type { Metadata } from '../metadata/metadata.ts';

/** Time without progress after which a backup holds nothing any more, in ms: its target hangs. */
export const MAX_IDLE_MS = 10 * 60_000;
const POLL_MS = 5_000;
/** Files that are deleted at a time. */
const REMOVALS = 16;

export type HeldDeps = {
  metadata: Pick<Metadata, 'blob' | 'ingests'>;
  store: BlobStore;
  locks: KeyedLock;
  space: Pick<SpaceGuard, 'current'>;
  log: Log;
  now: () => number;
};

/**
 * Holds the files of all content that is here now, until its disposal, until the backup makes no progress any more, or
 * until the data volume is short of space: then `abort` is called.
 */
export class HeldContent implements AsyncDisposable {
  readonly #deps: HeldDeps;
  readonly #abort: (reason: Fault) => void;
  readonly #maxIdleMs: number;
  readonly #timer: NodeJS.Timeout;
  #movedAt = performance.now();
  #ended: Promise<void> | undefined;

  constructor(deps: HeldDeps, abort: (reason: Fault) => void, maxIdleMs = MAX_IDLE_MS) {
    this.#deps = deps;
    this.#abort = abort;
    this.#maxIdleMs = maxIdleMs;
    deps.store.hold.begin('a backup is running', deps.now());
    this.#timer = setInterval(() => void this.#watch(), Math.min(POLL_MS, maxIdleMs / 2)).unref();
  }

  /** The backup made progress. */
  moved(): void {
    this.#movedAt = performance.now();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #watch(): Promise<void> {
    const { space, store } = this.#deps;
    if (performance.now() - this.#movedAt >= this.#maxIdleMs) {
      this.#abort(new Fault('unavailable', 'the backup target does not answer: check the medium'));
      await this[Symbol.asyncDispose]();
      return;
    }
    const isHolding = (store.hold.current?.files ?? 0) > 0;
    const { low } = await space.current().catch(() => ({ low: false }));
    if (!low || !isHolding) return;
    this.#abort(
      new Fault(
        'no-space',
        'the data volume is short of space, and the backup held deleted files: free space, then back up again',
      ),
    );
    await this[Symbol.asyncDispose]();
  }

  async #end(): Promise<void> {
    clearInterval(this.#timer);
    const { store, log } = this.#deps;
    const files = store.hold.end();
    await each(files, REMOVALS, (digest) => this.#remove(digest)).catch((err) =>
      log.warn({ err }, 'files that a backup held could not be deleted; garbage collection deletes them'),
    );
  }

  /** Deletes a file whose record was deleted during the hold, unless the content is here again. */
  #remove(digest: string): Promise<void> {
    const { metadata, store, locks } = this.#deps;
    return locks.run(`blob ${digest}`, async () => {
      if (await metadata.blob(digest)) return;
      // Left by a commit that failed between its steps: the next start moves the bytes back to the ingest.
      for await (const [, { placing }] of metadata.ingests()) if (placing === digest) return;
      await store.remove(digest);
    });
  }
}

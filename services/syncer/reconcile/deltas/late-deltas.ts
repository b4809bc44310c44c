import { backoffMs } from '#proto/async/backoff.ts';
import type { HeldDelta, RefusedDelta } from '#proto/content/deltas.ts';
import type { Digest } from '#proto/oci/names.ts';
import { MAX_WAIT_S } from '#proto/sync/changes.ts';
import { deltaOffered } from '#proto/sync/delta-jobs.ts';
import {
  transferFailed,
  transferFinished,
  transferPaused,
  transferProgressed,
  transferStarted,
} from '#proto/sync/transfers.ts';
import type { DeltaPace } from '../../delta/delta-pace.ts';
import { isWorthAskingStill, type Pace, switchGainMs } from '../../delta/worth.ts';
import type { AskedDeltas, DeltaOffers } from '../../link/terrace/parent-deltas.ts';
import type { PassTools } from '../context/pass-context.ts';
import { isRefused } from './kept-deltas.ts';

/** Max wait of one request while several deltas are being made, in s. */
const SEVERAL_WAIT_S = 4;
/** Min interval of questions about an image, in ms: a parent may answer at once instead of waiting. */
const MIN_INTERVAL_MS = 1_000;
const RETRY = { firstMs: 2_000, maxMs: 60_000 };
/** Min interval in which the same delta is offered, in ms: an event may be lost. */
const OFFER_MS = 10_000;

export type LateDeltasDeps = Pick<PassTools, 'bus' | 'configuration' | 'log' | 'signal' | 'by'> & {
  offers: DeltaOffers;
  pace: DeltaPace;
};

/** A blob that crosses the link in full. `delta`: the parent has it. */
export type FullBlob = { digest: Digest; size: number; delta?: HeldDelta | undefined };
/** Those of one image. `questions`: about them, once they are worth it. */
export type FullBlobs = {
  questions: () => Promise<readonly AskedDeltas[]>;
  blobs: readonly FullBlob[];
  refused: readonly RefusedDelta[];
};

type Group = Pick<FullBlobs, 'refused'> & {
  questions: FullBlobs['questions'];
  known?: readonly AskedDeltas[];
  isAsking: boolean;
  failures: number;
  /** When it may be asked again, by `performance.now()`. */
  next: number;
};
type Late = {
  group: Group;
  repository: string | undefined;
  size: number;
  /** Bytes that have not crossed. */
  left: number;
  delta: HeldDelta | undefined;
  offeredAt: number | undefined;
  isCounted: boolean;
};

/**
 * Blobs that began to cross the link in full, because no delta was there in time or the link was taken for fast. As
 * their bytes arrive, the rate of the link is known: if a delta then brings the rest sooner, the parent is asked, and
 * the syncer that has the blob continues with the delta. What has arrived stays. Of one batch of images.
 */
export class LateDeltas implements Disposable {
  readonly #deps: LateDeltasDeps;
  readonly #blobs = new Map<Digest, Late>();
  readonly #end = new AbortController();
  readonly #signal: AbortSignal;
  readonly #unlisten: (() => void)[];

  constructor(deps: LateDeltasDeps) {
    this.#deps = deps;
    const { bus, signal } = deps;
    this.#signal = AbortSignal.any([signal, this.#end.signal]);
    this.#unlisten = [
      bus.listen(transferStarted, ({ data }) => {
        const blob = this.#blobs.get(data.digest);
        // Another transfer may have begun in full, as where a prefetch gave the blob up for its delta.
        if (blob) blob.offeredAt = undefined;
        this.#reached(data, data.present);
      }),
      bus.listen(transferProgressed, ({ data }) => this.#reached(data, data.done)),
      ...[transferFinished, transferFailed, transferPaused].map((event) =>
        bus.listen(event as typeof transferPaused, ({ data }) => void this.#blobs.delete(data.digest)),
      ),
    ];
    signal.addEventListener('abort', () => this[Symbol.dispose](), { once: true });
  }

  /** To be called before the transfers of these blobs begin. */
  add({ questions, blobs, refused }: FullBlobs): void {
    const group: Group = { questions, refused, isAsking: false, failures: 0, next: 0 };
    for (const { digest, size, delta } of blobs)
      this.#blobs.set(digest, {
        ...{ group, size, left: size, repository: undefined, offeredAt: undefined },
        isCounted: false,
        delta: delta && isRefused(refused, delta) ? undefined : delta,
      });
  }

  [Symbol.dispose](): void {
    this.#end.abort();
    for (const stop of this.#unlisten) stop();
    this.#blobs.clear();
  }

  #reached(
    data: { digest: Digest; repository: string; direction: string; delta?: unknown },
    done: number,
  ): void {
    const blob = this.#blobs.get(data.digest);
    if (!blob || data.direction !== 'down' || data.delta) return;
    blob.repository = data.repository;
    blob.left = Math.max(0, blob.size - done);
    this.#offer(blob);
    // The rate of the link is news for all of them.
    for (const group of new Set([...this.#blobs.values()].map((one) => one.group))) void this.#ask(group);
  }

  #offer(blob: Late): void {
    const { delta, repository, offeredAt, left, size } = blob;
    const now = performance.now();
    if (!delta || repository === undefined || now - (offeredAt ?? Number.NEGATIVE_INFINITY) < OFFER_MS)
      return;
    const { bus, pace, configuration, by: syncer, log } = this.#deps;
    const gainMs = switchGainMs(configuration.delta.mode, this.#paceNow(), { size, left }, delta.size);
    if (gainMs <= 0) return;
    if (!blob.isCounted) pace.saved(gainMs);
    blob.isCounted = true;
    blob.offeredAt = now;
    log.info({ digest: delta.to, delta: delta.digest, left, gainMs }, 'a delta brings the rest sooner');
    bus.publish(deltaOffered, { ...delta, repository, syncer });
  }

  async #ask(group: Group): Promise<void> {
    if (group.isAsking || performance.now() < group.next || this.#wanted(group).size === 0) return;
    group.isAsking = true;
    try {
      group.known ??= await group.questions();
      for (const question of group.known) await this.#answers(group, question);
      group.failures = 0;
      group.next = performance.now() + MIN_INTERVAL_MS;
    } catch (err) {
      if (this.#signal.aborted) return;
      group.failures += 1;
      const ms = backoffMs(group.failures, RETRY);
      group.next = performance.now() + ms;
      this.#deps.log.debug({ err, ms }, 'the parent does not answer a question about deltas; asking later');
    } finally {
      group.isAsking = false;
    }
  }

  async #answers(group: Group, question: AskedDeltas): Promise<void> {
    const { offers, pace } = this.#deps;
    const worth = this.#wanted(group);
    const wanted = question.wanted.filter(({ digest }) => worth.has(digest));
    if (wanted.length === 0) return;
    const wait = wanted.length > 1 ? SEVERAL_WAIT_S : MAX_WAIT_S;
    const answer = await offers.ask({ ...question, wanted, wait }, this.#signal);
    for (const { digest } of wanted) {
      const blob = this.#blobs.get(digest);
      const offer = answer?.get(digest) ?? 'plain';
      if (!blob || offer === 'making') continue;
      if (offer === 'plain' || isRefused(group.refused, offer)) this.#blobs.delete(digest);
      else {
        pace.made(offer);
        blob.delta = offer;
        this.#offer(blob);
      }
    }
  }

  /** Blobs of the group for which a delta would still be worth it. */
  #wanted(group: Group): Set<Digest> {
    const { mode } = this.#deps.configuration.delta;
    const pace = this.#paceNow();
    const worth = [...this.#blobs].filter(
      ([, blob]) => blob.group === group && !blob.delta && isWorthAskingStill(mode, pace, blob),
    );
    return new Set(worth.map(([digest]) => digest));
  }

  #paceNow(): Pace {
    const { pace, offers } = this.#deps;
    return pace.now(offers.roundTripMs);
  }
}

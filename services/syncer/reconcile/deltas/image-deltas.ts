import { setTimeout as sleep } from 'node:timers/promises';
import { each } from '#proto/async/each.ts';
import { type HeldDelta, MIN_DELTA_TARGET_BYTES, type RefusedDelta } from '#proto/content/deltas.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest } from '#proto/oci/names.ts';
import { MAX_WAIT_S } from '#proto/sync/changes.ts';
import type { DeltaPace } from '../../delta/delta-pace.ts';
import { isWorthTaking, type Pace, savedMs, waitMs, worthAsking } from '../../delta/worth.ts';
import type { AskedDeltas, DeltaOffers } from '../../link/terrace/parent-deltas.ts';
import type { PassTools } from '../context/pass-context.ts';
import { layersOf } from './image-layers.ts';
import { type ImageToPull, questionsOf } from './image-questions.ts';
import { findKeptDeltas, isRefused } from './kept-deltas.ts';
import { type FullBlob, type FullBlobs, LateDeltas } from './late-deltas.ts';
import { untilAnswered } from './until-answered.ts';

/** Max questions about one image at a time. */
const MAX_PARALLEL = 4;
/** Max wait of one request while several deltas are being made, in s: those that are ready are taken meanwhile. */
const SEVERAL_WAIT_S = 4;
/** Share of a blob that is expected to be missing if an earlier transfer left a part of it. */
const MISSING_SHARE = 0.5;
/** Min interval of questions while a delta is being made, in ms: a parent may answer at once instead of waiting. */
const MIN_INTERVAL_MS = 1_000;

/** The delta by which a blob is pulled; undefined: it crosses the link itself. */
export type DeltaDecision = Promise<HeldDelta | undefined>;

export type ImageDeltasDeps = Pick<
  PassTools,
  'bus' | 'volume' | 'configuration' | 'log' | 'signal' | 'by'
> & {
  offers: DeltaOffers | undefined;
  pace: DeltaPace;
  /** Whether an earlier transfer has left a part of the blob. */
  isPartial: (digest: Digest) => boolean;
};

/**
 * Decides which blobs of images cross the link as deltas. Each blob is asked for once; one that begins to cross the
 * link in full may continue as a delta (`LateDeltas`). Of one batch of images.
 */
export class ImageDeltas implements Disposable {
  readonly #deps: ImageDeltasDeps;
  readonly #decisions = new Map<Digest, { promise: DeltaDecision; decide: (delta?: HeldDelta) => void }>();
  /** Blobs that were not worth a question: they may be crossing by now. */
  readonly #unasked = new Set<Digest>();
  #late: LateDeltas | undefined;

  constructor(deps: ImageDeltasDeps) {
    this.#deps = deps;
  }

  /** Begins to ask, where that is worth it. A blob that is not in the result is not asked for. */
  decisions(image: ImageToPull): ReadonlyMap<Digest, DeltaDecision> {
    const { configuration, offers } = this.#deps;
    const layers = new Set(image.nodes.flatMap((node) => (node.isReferrer ? [] : layersOf(node.manifest))));
    const missing = image.missing.filter(({ digest }) => layers.has(digest));
    if (offers?.areOffered) {
      const fresh = missing.filter(
        ({ digest }) => !this.#decisions.has(digest) && !this.#unasked.has(digest),
      );
      const worth = new Set(worthAsking(configuration.delta.mode, this.#paceNow(), fresh));
      const unasked = fresh.filter((blob) => !worth.has(blob) && blob.size >= MIN_DELTA_TARGET_BYTES);
      for (const blob of fresh) if (!worth.has(blob)) this.#unasked.add(blob.digest);
      this.#watch({
        questions: () => questionsOf(this.#deps, { ...image, missing: unasked }),
        blobs: unasked,
        refused: [],
      });
      if (worth.size > 0) void this.#decide(offers, { ...image, missing: [...worth] });
    }
    return new Map(
      missing.flatMap(({ digest }) => {
        const known = this.#decisions.get(digest);
        return known ? [[digest, known.promise] as const] : [];
      }),
    );
  }

  async #decide(offers: DeltaOffers, image: ImageToPull): Promise<void> {
    for (const { digest } of image.missing) {
      const { promise, resolve: decide } = Promise.withResolvers<HeldDelta | undefined>();
      this.#decisions.set(digest, { promise, decide });
    }
    const { log } = this.#deps;
    try {
      const { left, refused } = await this.#useKept(image.missing);
      const questions = await questionsOf(this.#deps, { ...image, missing: left });
      const asked = new Set(questions.flatMap(({ wanted }) => wanted.map(({ digest }) => digest)));
      for (const { digest } of left) if (!asked.has(digest)) this.#decisions.get(digest)?.decide();
      const waiting: Waiting[] = [];
      // What the parent has is known of all images before any delta is waited for.
      await each(questions, MAX_PARALLEL, async (question) => {
        const begun = performance.now();
        const one = { question, wanted: question.wanted, begun, lastAt: begun };
        if ((await this.#ask(offers, one, refused)) > 0) waiting.push(one);
      });
      await each(waiting, MAX_PARALLEL, (one) => this.#wait(offers, one, refused));
    } catch (err) {
      log.debug({ err, repository: image.repository }, 'no deltas: the parent could not be asked');
    } finally {
      for (const { digest } of image.missing) this.#decisions.get(digest)?.decide();
    }
  }

  /** Uses the deltas that an earlier transfer has brought here. @returns the other blobs, and pairs without a delta */
  async #useKept(missing: readonly Descriptor[]): Promise<{ left: Descriptor[]; refused: RefusedDelta[] }> {
    const { kept, refused } = await findKeptDeltas(this.#deps.bus, missing);
    for (const [digest, delta] of kept) this.#decisions.get(digest)?.decide(delta);
    return { left: missing.filter(({ digest }) => !kept.has(digest)), refused };
  }

  /** Asks until each delta is here or not worth the wait. */
  async #wait(offers: DeltaOffers, waiting: Waiting, refused: readonly RefusedDelta[]): Promise<void> {
    const { signal } = this.#deps;
    for (let ms = this.#leftMs(waiting); ; ) {
      const begun = performance.now();
      const maxS = waiting.wanted.length > 1 ? SEVERAL_WAIT_S : MAX_WAIT_S;
      const wait = Math.min(maxS, Math.max(1, Math.floor(ms / 1_000)));
      ms = await this.#ask(offers, waiting, refused, wait);
      if (ms === 0) return;
      await sleep(Math.max(0, begun + MIN_INTERVAL_MS - performance.now()), undefined, { signal });
    }
  }

  /** Decides what the answer decides. @returns how long to wait for the others, in ms; 0 if all are decided */
  async #ask(
    offers: DeltaOffers,
    waiting: Waiting,
    refused: readonly RefusedDelta[],
    wait = 0,
  ): Promise<number> {
    const { pace, signal, isPartial } = this.#deps;
    const { question, wanted } = waiting;
    const { answer, lostMs } = await untilAnswered(this.#deps, this.#leftMs(waiting), () =>
      offers.ask({ ...question, wanted, wait }, signal),
    );
    waiting.begun += lostMs;
    waiting.lastAt += lostMs;
    const now = performance.now();
    const waitedMs = wait > 0 ? now - waiting.lastAt : 0;
    const making: AskedDeltas['wanted'] = [];
    const full: FullBlob[] = [];
    for (const blob of wanted) {
      const offer = answer?.get(blob.digest) ?? 'plain';
      if (offer === 'making' && !isPartial(blob.digest)) {
        making.push(blob);
        continue;
      }
      const delta = typeof offer === 'string' ? undefined : offer;
      if (delta) {
        pace.made(delta, waitedMs);
        pace.saved(savedMs(this.#paceNow(), delta.toSize, delta.size) - (now - waiting.lastAt));
        waiting.lastAt = now;
      }
      const isTaken = delta && this.#isTaken(delta) && !isRefused(refused, delta);
      if (isTaken) {
        // A prefetch may be pulling it in full.
        this.#watch({ questions: async () => [], blobs: [{ ...blob, delta }], refused });
        this.#decisions.get(blob.digest)?.decide(delta);
      } else full.push({ ...blob, delta });
    }
    waiting.wanted = making;
    if (waiting.lastAt === now) waiting.savedMs = pace.savedMs;
    waiting.savedMs ??= pace.savedMs;
    const ms = this.#leftMs(waiting, now);
    if (ms === 0) {
      // What was waited in vain counts once.
      pace.saved(waiting.lastAt - now);
      if (making.length > 0) pace.overdue(sumOf(making.map(({ size }) => size)), now - waiting.lastAt);
    }
    this.#begin(question, ms === 0 ? [...full, ...making] : full, refused);
    return ms;
  }

  /** These blobs begin to cross the link in full. */
  #begin(question: AskedDeltas, blobs: readonly FullBlob[], refused: readonly RefusedDelta[]): void {
    this.#watch({ questions: async () => [question], blobs, refused });
    for (const { digest } of blobs) this.#decisions.get(digest)?.decide();
  }

  /** To be called before the transfers of these blobs begin. */
  #watch(full: FullBlobs): void {
    const { offers, configuration } = this.#deps;
    if (!offers || configuration.delta.mode === 'off' || full.blobs.length === 0) return;
    this.#late ??= new LateDeltas({ ...this.#deps, offers });
    this.#late.add(full);
  }

  #leftMs({ wanted, begun, lastAt, savedMs = 0 }: Waiting, now = performance.now()): number {
    const { mode, timeMs: maxMs } = this.#deps.configuration.delta;
    const sizes = wanted.map(({ size }) => size);
    const waited = { ms: now - begun, idleMs: now - lastAt };
    return waitMs(mode, this.#paceNow(), sizes, waited, { maxMs, savedMs });
  }

  #isTaken({ to, toSize, size }: HeldDelta): boolean {
    const missing = this.#deps.isPartial(to) ? toSize * MISSING_SHARE : toSize;
    return isWorthTaking(this.#deps.configuration.delta.mode, this.#paceNow(), missing, size);
  }

  [Symbol.dispose](): void {
    this.#late?.[Symbol.dispose]();
  }

  #paceNow(): Pace {
    const { pace, offers } = this.#deps;
    return pace.now(offers?.roundTripMs);
  }
}

/** A question, and those of its blobs of which deltas are being made. Times are of `performance.now()`. */
type Waiting = {
  question: AskedDeltas;
  wanted: AskedDeltas['wanted'];
  begun: number;
  /** When the last delta came that was waited for. */
  lastAt: number;
  /** What deltas had saved then, see `DeltaPace`; undefined until a delta is being made. */
  savedMs?: number;
};

const sumOf = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

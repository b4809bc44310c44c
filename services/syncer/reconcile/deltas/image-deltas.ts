import { setTimeout as sleep } from 'node:timers/promises';
import { each } from '#proto/async/each.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import {
  type HeldDelta,
  listDeltas,
  MAX_HELD,
  MAX_WANTED,
  type RefusedDelta,
} from '#proto/content/deltas.ts';
import type { Descriptor, Manifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { MAX_WAIT_S } from '#proto/sync/changes.ts';
import type { DeltaPace } from '../../delta/delta-pace.ts';
import { isWorthTaking, type Pace, waitMs, worthAsking } from '../../delta/worth.ts';
import type { AskedDeltas, DeltaOffers } from '../../link/terrace/parent-deltas.ts';
import type { PassTools } from '../context/pass-context.ts';
import { heldFor, layersOf, platformsOf, readImageLayers } from './image-layers.ts';
import { untilAnswered } from './until-answered.ts';

/** Max questions about one image at a time. */
const MAX_PARALLEL = 4;
/** Max wait of one request while several deltas are being made, in s: those that are ready are taken meanwhile. */
const SEVERAL_WAIT_S = 4;
/** Share of a blob that is expected to be missing if an earlier transfer left a part of it. */
const MISSING_SHARE = 0.5;
/** Min interval of questions while a delta is being made, in ms: a parent may answer at once instead of waiting. */
const MIN_INTERVAL_MS = 1_000;

type Node = { digest: Digest; manifest: Manifest; isReferrer: boolean };
/** An image to pull. `similar`: manifests here that it may resemble, best ones first. */
export type ImageToPull = {
  repository: Repository;
  nodes: readonly Node[];
  missing: readonly Descriptor[];
  similar: () => readonly Digest[];
};
/** The delta by which a blob is pulled; undefined: it crosses the link itself. */
export type DeltaDecision = Promise<HeldDelta | undefined>;

export type ImageDeltasDeps = Pick<PassTools, 'bus' | 'volume' | 'configuration' | 'log' | 'signal'> & {
  offers: DeltaOffers | undefined;
  pace: DeltaPace;
  /** Whether an earlier transfer has left a part of the blob. */
  isPartial: (digest: Digest) => boolean;
};

/** Decides which blobs of images cross the link as deltas. Each blob is asked for once. Of one batch of images. */
export class ImageDeltas {
  readonly #deps: ImageDeltasDeps;
  readonly #decisions = new Map<Digest, { promise: DeltaDecision; decide: (delta?: HeldDelta) => void }>();
  /** Blobs that were not worth a question: they may be crossing by now. */
  readonly #unasked = new Set<Digest>();

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
      for (const blob of fresh) if (!worth.has(blob)) this.#unasked.add(blob.digest);
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
      const questions = await this.#questions({ ...image, missing: left });
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
    const { bus } = this.#deps;
    const to = missing.map(({ digest }) => digest).slice(0, MAX_WANTED);
    const { deltas, refused } = await bus.call(listDeltas, { to });
    const bases = [...new Set(deltas.flatMap(({ from }) => from))];
    const lacking = new Set(
      bases.length > 0 ? (await bus.call(missingBlobs, { digests: bases })).digests : [],
    );
    const usable = deltas.filter(
      (delta) =>
        delta.from.every((base) => !lacking.has(base)) && !refused.some((pair) => isPairOf(pair, delta)),
    );
    const left: Descriptor[] = [];
    for (const blob of missing) {
      const [kept] = usable.filter((one) => one.to === blob.digest && one.toSize === blob.size);
      if (!kept) left.push(blob);
      else {
        const { made: _made, used: _used, ...delta } = kept;
        this.#decisions.get(blob.digest)?.decide(delta);
      }
    }
    return { left, refused };
  }

  /** One for each image of the tree that lacks blobs, with the layers here of the same platform. */
  async #questions({ repository, nodes, missing, similar }: ImageToPull): Promise<AskedDeltas[]> {
    if (missing.length === 0) return [];
    const images = await readImageLayers(this.#deps, repository, similar());
    const platforms = platformsOf(nodes.map(({ manifest }) => manifest));
    const left = new Map(missing.map((blob) => [blob.digest, blob]));
    const questions: AskedDeltas[] = [];
    for (const { digest: image, manifest, isReferrer } of nodes) {
      if (isReferrer) continue;
      const layers = layersOf(manifest);
      const held = heldFor(platforms.get(image) ?? '', images);
      const wanted = layers.flatMap((layer) => left.get(layer) ?? []).slice(0, MAX_WANTED);
      for (const { digest } of wanted) left.delete(digest);
      if (wanted.length === 0 || held.length === 0) continue;
      questions.push({
        repository,
        wanted: wanted.map(({ digest, size }) => ({ digest, size })),
        layers: layers.slice(0, MAX_HELD),
        held,
        wait: 0,
      });
    }
    return questions;
  }

  /** Asks until each delta is here or not worth the wait. */
  async #wait(offers: DeltaOffers, waiting: Waiting, refused: readonly RefusedDelta[]): Promise<void> {
    const { signal } = this.#deps;
    for (let ms = this.#leftMs(waiting); ; ) {
      const begun = performance.now();
      const maxS = waiting.wanted.length > 1 ? SEVERAL_WAIT_S : MAX_WAIT_S;
      const wait = Math.min(maxS, Math.max(1, Math.ceil(ms / 1_000)));
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
    const making: AskedDeltas['wanted'] = [];
    for (const blob of wanted) {
      const offer = answer?.get(blob.digest) ?? 'plain';
      if (offer === 'making' && !isPartial(blob.digest)) {
        making.push(blob);
        continue;
      }
      const delta = typeof offer === 'string' ? undefined : offer;
      if (delta) pace.made(delta, wait > 0 ? now - waiting.lastAt : 0);
      if (delta && wait > 0) waiting.lastAt = now;
      const isTaken = delta && this.#isTaken(delta) && !refused.some((pair) => isPairOf(pair, delta));
      this.#decisions.get(blob.digest)?.decide(isTaken ? delta : undefined);
    }
    waiting.wanted = making;
    if (making.length === 0) return 0;
    waiting.isPatient ??= pace.mayWait();
    const ms = this.#leftMs(waiting, now);
    if (ms > 0) return ms;
    // A time that does not matter says nothing about the parent.
    if (wait > 0 && waiting.isPatient)
      pace.overdue(sumOf(making.map(({ size }) => size)), now - waiting.lastAt);
    for (const { digest } of making) this.#decisions.get(digest)?.decide();
    return 0;
  }

  #leftMs({ wanted, begun, lastAt, isPatient }: Waiting, now = performance.now()): number {
    const { mode, timeMs: maxMs } = this.#deps.configuration.delta;
    const sizes = wanted.map(({ size }) => size);
    const waited = { ms: now - begun, idleMs: now - lastAt };
    return waitMs(mode, this.#paceNow(), sizes, waited, { maxMs, isPatient: isPatient !== false });
  }

  #isTaken({ to, toSize, size }: HeldDelta): boolean {
    const missing = this.#deps.isPartial(to) ? toSize * MISSING_SHARE : toSize;
    return isWorthTaking(this.#deps.configuration.delta.mode, this.#paceNow(), missing, size);
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
  /** Undefined until a delta is being made. */
  isPatient?: boolean;
};

const sumOf = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

const isPairOf = ({ to, from, format }: RefusedDelta, delta: HeldDelta): boolean =>
  to === delta.to && format === delta.format && from.join() === delta.from.join();

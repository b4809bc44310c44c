import { each } from '#proto/async/each.ts';
import { findDeltas, type HeldDelta, MAX_HELD, MAX_WANTED } from '#proto/content/deltas.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { DeltaPace } from '../../delta/delta-pace.ts';
import { worthAsking } from '../../delta/worth.ts';
import type { AskedDeltas, DeltaBases } from '../../link/terrace/parent-deltas.ts';
import type { PassTools } from '../context/pass-context.ts';
import { heldFor, type ImageLayers, readImageLayers } from './image-layers.ts';
import { makeDeltas } from './make-deltas.ts';
import { untilAnswered } from './until-answered.ts';

/** Max questions about one tree, and max of its blobs that are searched at the parent, at a time. */
const MAX_PARALLEL = 4;
/** Max images of one tree of which deltas are being made. */
const MAX_MAKING = 16;

/** Layers of an image that the parent lacks, in its order; `''`: its platform is unknown. */
export type ImageToPush = { layers: readonly Digest[]; platform: string };
/** `similar`: manifests here that the images may resemble, best ones first. */
export type TreeToPush = {
  repository: Repository;
  images: readonly ImageToPush[];
  missing: readonly { digest: Digest; size: number }[];
  similar: () => readonly Digest[];
  /** Whether the parent can link the blob from another repository. */
  isMountable: (digest: Digest) => Promise<boolean>;
};

export type PushDeltasDeps = Pick<PassTools, 'bus' | 'volume' | 'configuration' | 'log' | 'signal'> & {
  deltas?: DeltaBases | undefined;
  deltaPace?: DeltaPace | undefined;
};
/** The delta by which a blob is pushed; undefined: it crosses the link itself. */
export type PushDecision = Promise<HeldDelta | undefined>;

/**
 * Begins to ask the parent of what deltas to the missing blobs may be made, and to make them, where that is worth it.
 * @returns the decisions; a blob that is not among them crosses the link itself
 */
export function deltasToPush(deps: PushDeltasDeps, tree: TreeToPush): ReadonlyMap<Digest, PushDecision> {
  const { deltas: parent, deltaPace: pace, configuration } = deps;
  if (!parent?.areOffered || !pace) return new Map();
  const layers = new Set(tree.images.flatMap((image) => image.layers));
  const missing = tree.missing.filter(({ digest }) => layers.has(digest));
  const worth = worthAsking(configuration.delta.mode, pace.ofPushes(parent.roundTripMs), missing);
  if (worth.length === 0) return new Map();
  const decisions = new Map(
    worth.map(({ digest }) => [digest, Promise.withResolvers<HeldDelta | undefined>()]),
  );
  const push = new DeltaPush({ ...deps, parent, pace }, (to, delta) => decisions.get(to)?.resolve(delta));
  void push.run({ ...tree, missing: worth }).finally(() => {
    for (const { resolve } of decisions.values()) resolve(undefined);
  });
  return new Map([...decisions].map(([digest, { promise }]) => [digest, promise]));
}

type Deps = PushDeltasDeps & { parent: DeltaBases; pace: DeltaPace };
type Decide = (to: Digest, delta: HeldDelta | undefined) => void;

/** Asks and makes, for one tree. */
class DeltaPush {
  readonly #deps: Deps;
  readonly #decide: Decide;

  constructor(deps: Deps, decide: Decide) {
    this.#deps = deps;
    this.#decide = decide;
  }

  async run(tree: TreeToPush): Promise<void> {
    const { parent, log, signal } = this.#deps;
    try {
      const here = await readImageLayers(this.#deps, tree.repository, tree.similar());
      const usable = await this.#usable(tree, here);
      const missing = await this.#unmountable({ ...tree, missing: usable });
      const questions = this.#questions({ ...tree, missing }, here);
      const asked = questions.flatMap(({ wanted }) => wanted);
      this.#withoutDelta(tree.missing, asked);
      const makeable: AskedDeltas[] = [];
      await each(questions, MAX_PARALLEL, async (question) => {
        const { answer } = await untilAnswered(this.#deps, 0, () => parent.bases(question, signal));
        const left = new Set(answer?.held);
        const present = new Set(answer?.present);
        const wanted = left.size === 0 ? [] : question.wanted.filter(({ digest }) => !present.has(digest));
        const held = question.held.map((image) => image.filter((digest) => left.has(digest)));
        this.#withoutDelta(question.wanted, wanted);
        if (wanted.length > 0) makeable.push({ ...question, wanted, held });
      });
      for (const { wanted } of makeable.slice(MAX_MAKING)) this.#withoutDelta(wanted);
      await each(makeable.slice(0, MAX_MAKING), MAX_MAKING, (question) =>
        makeDeltas(this.#deps, question, this.#decide),
      );
    } catch (err) {
      log.debug({ err, repository: tree.repository }, 'pushing without deltas');
    }
  }

  /** Those of `blobs` that are not among the others cross the link themselves. */
  #withoutDelta(blobs: TreeToPush['missing'], others: TreeToPush['missing'] = []): void {
    const left = new Set(others.map(({ digest }) => digest));
    for (const { digest } of blobs) if (!left.has(digest)) this.#decide(digest, undefined);
  }

  /**
   * Of the missing blobs, those that may cross as deltas. In `auto`, while the link is unknown, none is waited for, so
   * that only those count that are here.
   */
  async #usable(
    { repository, missing }: TreeToPush,
    images: readonly ImageLayers[],
  ): Promise<TreeToPush['missing']> {
    const { bus, configuration, pace, parent, signal } = this.#deps;
    if (configuration.delta.mode !== 'auto' || pace.ofPushes(parent.roundTripMs).link !== undefined) {
      return missing;
    }
    const wanted = missing.slice(0, MAX_WANTED).map(({ digest }) => digest);
    const held = [...new Set(images.flatMap(({ layers }) => layers))].slice(0, MAX_HELD);
    const { deltas } = await bus.call(findDeltas, { repository, wanted, held }, { signal });
    const made = new Set(deltas.map(({ to }) => to));
    return missing.filter(({ digest }) => made.has(digest));
  }

  async #unmountable({ missing, isMountable }: TreeToPush): Promise<TreeToPush['missing']> {
    const mountable = new Set<Digest>();
    await each(missing, MAX_PARALLEL, async ({ digest }) => {
      if (!(await isMountable(digest))) return;
      mountable.add(digest);
      this.#decide(digest, undefined);
    });
    return missing.filter(({ digest }) => !mountable.has(digest));
  }

  /** One for each image of the tree that has missing blobs. */
  #questions({ repository, images, missing }: TreeToPush, here: readonly ImageLayers[]): AskedDeltas[] {
    const left = new Map(missing.map((blob) => [blob.digest, blob]));
    const lacking = new Set(missing.map(({ digest }) => digest));
    const questions: AskedDeltas[] = [];
    for (const { layers, platform } of images) {
      const wanted = layers.flatMap((layer) => left.get(layer) ?? []).slice(0, MAX_WANTED);
      for (const { digest } of wanted) left.delete(digest);
      const held = alike(layers, heldFor(platform, here)).map((image) =>
        image.filter((one) => !lacking.has(one)),
      );
      if (wanted.length === 0 || held.flat().length === 0) continue;
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
}

/** Those that share the largest number of layers first: what a manifest without a tag resembles is not known. */
function alike(layers: readonly Digest[], images: Digest[][]): Digest[][] {
  const own = new Set(layers);
  const shared = (image: Digest[]) => image.filter((digest) => own.has(digest)).length;
  return images.toSorted((a, b) => shared(b) - shared(a));
}

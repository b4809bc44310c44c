import { each } from '#proto/async/each.ts';
import type { KnownTag } from '#proto/content/manifests.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { loserTag } from '#proto/sync/conflict-tag.ts';
import { imageIncomplete, type LeftOutItem, MAX_LISTED_LEFT_OUT } from '#proto/sync/left-out.ts';
import { imageConflict, imageFailed } from '#proto/sync/passes.ts';
import { traced } from '#proto/tracing/traced.ts';
import { distinct, isAnswered, leftOutItem } from '../context/leave-out.ts';
import { byName, type PullOrder } from '../context/order.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { TreeLimits } from '../context/tree-budget.ts';
import { ImageDeltas } from '../deltas/image-deltas.ts';
import type { Survey } from '../observe/survey.ts';
import { subjectOfTag } from '../select/referrer-filter.ts';
import { BatchCache } from './batch-cache.ts';
import { downloadedOnce } from './download-once.ts';
import type { ImageNode } from './image-node.ts';
import { LoadedImages } from './loaded-images.ts';
import { MemoryBudget, OutOfMemoryBudget } from './memory-budget.ts';
import { pruneReferrers, readAgreedReferrers } from './prune-referrers.ts';
import { beginDownloads, type Load, loadImage, pullImage, pullLoad, type Target } from './pull-load.ts';

/**
 * Pull: brings planned content from the parent into the layer.
 *
 * `pull-queue.ts` turns the surveys into a list of images: tags to move, and manifests here that may lack referrers or
 * children. This file loads and pulls them in batches (`batch-cache.ts`, `loaded-images.ts`). For each image,
 * `tree.ts` fetches the missing manifests of a `tree-selection.ts` within the memory of `memory-budget.ts`, with the
 * referrers that `tree-referrers.ts` finds, and `prune-referrers.ts` deletes referrers that the parent deleted.
 * `pull-load.ts` then submits the missing blobs as transfer jobs, commits the manifests once all blobs are here,
 * children before parents, and moves the tag last. `image-context.ts` describes each blob to the layers below before
 * its image is complete. `hidden-referrers.ts` records which referrers an image lacks, and that a repository's can't be
 * listed, and `repair-damaged.ts` fetches damaged content again.
 */

/** An image to pull: the target of a tag, or (`tag` is `null`) content here that may lack referrers or children. */
export type Image = PullOrder & {
  tag: Tag | null;
  digest: Digest;
  survey: Survey;
  /** Current target of the tag here. */
  expect: Digest | undefined;
  /** Of the tag, if it matters. */
  known?: KnownTag;
  loser: Digest | undefined;
};

type LoadedImage = Image & { isPartlyHere: boolean; load: Load | undefined; error?: unknown };

/** Max images per batch: their trees are in memory, of up to two batches at a time. */
const MAX_BATCH = 200;
/** Max images of a batch that are loaded, and pulled, in parallel. */
const MAX_PARALLEL_LOADS = 8;
const MAX_PARALLEL_PULLS = 8;
/** Max tags of an image for which similar ones are searched, and max images here with which it is compared. */
const MAX_SIMILAR_TAGS = 4;
const MAX_SIMILAR = 4;

/**
 * Pulls images in order: by priority, then partly present ones first, then by name. Whether an image is partly present
 * is known once its tree is loaded. Images are pulled while others of the batch, and then the next batch, are loaded;
 * only if an earlier pass left blobs in part, all images of the batch are loaded first. An image for which there is not
 * enough memory is deferred to a later batch, whose first image is loaded in any case.
 */
export async function pullImages(
  context: PassContext,
  images: Image[],
  { room = new MemoryBudget(), limits }: { room?: MemoryBudget; limits?: TreeLimits } = {},
): Promise<void> {
  const sorted = images.toSorted(byName);
  let at = 0;
  let waiting: Image[] = [];
  const next = (): Batch | undefined => {
    const batch = waiting.splice(0, MAX_BATCH);
    for (; batch.length < MAX_BATCH && at < sorted.length; at += 1) batch.push(sorted[at] as Image);
    return batch.length > 0 ? new Batch(context, batch, room, limits) : undefined;
  };
  for (let batch = next(); batch; ) {
    const pulling = batch.pull();
    // Handled below, unless loading fails first.
    pulling.catch(() => {});
    await batch.begin();
    waiting = [...batch.waiting, ...waiting];
    const following = next();
    following?.begin();
    await pulling;
    batch = following;
  }
}

const isAboutManifest = ({ tag, digest, survey }: Image): boolean =>
  survey.lists.has(digest) || (tag !== null && subjectOfTag(tag) !== undefined);

class Batch {
  /** Images of the batch that were deferred for lack of memory. */
  readonly waiting: Image[] = [];
  readonly #context: PassContext;
  readonly #images: Image[];
  readonly #room: MemoryBudget;
  readonly #limits: TreeLimits | undefined;
  readonly #cache: BatchCache;
  readonly #loaded: LoadedImages<LoadedImage>;
  readonly #deltas: ImageDeltas | undefined;
  /** Blobs of which an earlier transfer has left a part. */
  #partial: ReadonlySet<Digest> = new Set();
  #loads: Promise<void> | undefined;

  constructor(context: PassContext, images: Image[], room: MemoryBudget, limits: TreeLimits | undefined) {
    this.#limits = limits;
    this.#cache = new BatchCache(room);
    this.#context = {
      ...context,
      parent: this.#cache.parent(context.parent),
      transferJobs: downloadedOnce(context.transferJobs),
    };
    const { deltas: offers, deltaPace: pace } = context;
    const isPartial = (digest: Digest) => this.#partial.has(digest);
    this.#deltas = pace && new ImageDeltas({ ...context, offers, pace, isPartial });
    this.#images = images;
    this.#loaded = new LoadedImages(images);
    this.#room = room;
  }

  /** Resolves when all images are loaded, or deferred. */
  begin(): Promise<void> {
    this.#loads ??= this.#load().finally(() => this.#loaded.close());
    // A rejection is handled by the caller that awaits it, unless the pass ends before.
    this.#loads.catch(() => {});
    return this.#loads;
  }

  async pull(): Promise<void> {
    const loads = this.begin();
    try {
      const pull = async () => {
        for await (const image of this.#loaded) await this.#pullOne(image);
      };
      const pulls = Array.from({ length: MAX_PARALLEL_PULLS }, pull);
      // All end before the pass does, also if one fails.
      for (const ended of await Promise.allSettled([loads, ...pulls]))
        if (ended.status === 'rejected') throw ended.reason;
    } finally {
      this.#cache.clear();
      this.#deltas?.[Symbol.dispose]();
      this.#loads = Promise.resolve();
    }
  }

  async #load(): Promise<void> {
    if (this.#images.length === 0) return;
    const { bus, signal } = this.#context;
    const { ingests } = await bus.call(storageStatus, {}, { signal });
    const partial = new Set(
      ingests.flatMap(({ purpose, digest }) => (purpose === 'transfer' && digest ? [digest] : [])),
    );
    this.#partial = partial;
    // Those that an earlier pass left in part are complete soonest: which ones they are is known when all are loaded.
    if (partial.size > 0) this.#loaded.holdBack();
    await each(this.#images, MAX_PARALLEL_LOADS, async (image) => {
      try {
        const { repository, digest, tag } = image;
        const key = `${tag === null ? 'settled' : 'load'} ${repository}@${digest}`;
        const load = await this.#cache.result(key, () => this.#loadOf(image, partial));
        this.#noteSize(image, load);
        this.#loaded.add({ ...image, load, isPartlyHere: load.isPartlyHere });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof OutOfMemoryBudget) {
          this.waiting.push(image);
          this.#loaded.ended(image);
        } else this.#loaded.add({ ...image, load: undefined, isPartlyHere: false, error });
      }
    });
  }

  async #loadOf(image: Image, partial: ReadonlySet<Digest>): Promise<Load> {
    const { repository, digest, survey, tag } = image;
    const isFirst = image === this.#images[0];
    const mayFetch = () => {
      if (this.#room.isFull && !isFirst) throw new OutOfMemoryBudget();
    };
    const context = this.#context;
    // With several, the order in which their blobs come depends on what each lacks, and the link has enough to carry.
    const isOnlyImage = this.#images.every((one) => one.repository === repository && one.digest === digest);
    const onTree = (nodes: readonly ImageNode[]) => {
      const begun = beginDownloads(context, repository, nodes, this.#targetOf(image));
      begun.catch(() => {});
    };
    const { unsentChanges, leftOutByParent, oversized } = context;
    oversized.mustNotBeKnown(repository, digest);
    const { platforms, referrers } = survey.selected;
    const agreed =
      tag === null && referrers !== false ? await readAgreedReferrers(context, repository, digest) : [];
    const load = await loadImage(
      context,
      repository,
      digest,
      {
        platforms,
        referrers,
        leftOutByParent,
        isDeleted: (one) => unsentChanges.isDeleted(repository, one),
        isList: survey.lists.has(digest),
      },
      partial,
      { mayFetch, onTree: isOnlyImage ? onTree : undefined, limits: this.#limits, tag: tag ?? undefined },
    ).catch((error) => {
      oversized.note(repository, digest, error);
      throw error;
    });
    context.stats.dropped += await pruneReferrers(context, repository, digest, agreed, survey.here);
    return load;
  }

  async #pullOne(image: LoadedImage): Promise<void> {
    const { bus, behind, pass, stats, signal } = this.#context;
    const { repository, tag, digest, load } = image;
    try {
      if (!load) throw image.error;
      const about = { 'terrace.repository': repository, 'terrace.digest': digest, 'terrace.pass': pass };
      const attributes = { ...about, 'terrace.direction': 'down', 'terrace.tag': tag ?? undefined };
      const { isChanged, problems } = await traced('pull', { attributes }, () =>
        this.#pullImage(image, load),
      );
      if (isChanged) stats.taken += 1;
      this.#noteSettled(image);
      this.#noteLeftOut(image, problems);
    } catch (error) {
      signal.throwIfAborted();
      // What signing tools store under a tag of its own is a referrer: it never fails, unless the link does.
      if (isAboutManifest(image) && isAnswered(error)) {
        if (tag === null) this.#noteSettled(image);
        return this.#noteLeftOut(image, [leftOutItem('referrer', error, { digest })]);
      }
      const failure = stats.fail({ repository, ...(tag && { tag }) }, error);
      if (!failure) return;
      const { code, reason } = failure;
      if (tag !== null) behind.failed(repository, tag, code, reason);
      else behind.failedIncomplete(repository, image.survey.tagsOf(digest), code, reason);
      bus.publish(imageFailed, { pass, repository, tag, digest, code, reason });
    }
  }

  async #pullImage(image: LoadedImage, load: Load): Promise<{ isChanged: boolean; problems: LeftOutItem[] }> {
    const { repository, tag, digest, expect, known, loser } = image;
    const { bus, pass, layer } = this.#context;
    const content = () =>
      this.#cache.result(`content ${repository}@${digest}`, () =>
        pullLoad(this.#context, repository, load, this.#targetOf(image)),
      );
    if (tag === null) return pullImage(this.#context, repository, digest, load, content);
    const conflictTag = loser && loserTag(tag, layer, loser);
    const move = { tag, expect, ...(known && { known }), ...(conflictTag && { loserTag: conflictTag }) };
    const pulled = await pullImage(this.#context, repository, digest, load, content, move);
    if (conflictTag) {
      bus.publish(imageConflict, { pass, repository, tag, winner: digest, loser, loserTag: conflictTag });
    }
    return pulled;
  }

  /** What the layer lacks of it is known. */
  #noteSize({ repository, digest, tag, survey }: Image, { nodes, missing }: Load): void {
    const { behind } = this.#context;
    if (tag !== null) behind.sized(repository, tag, missing);
    else if (nodes.length > 0) behind.incomplete(repository, survey.tagsOf(digest), digest, missing);
  }

  #noteSettled({ repository, digest, tag, survey }: Image): void {
    const { behind } = this.#context;
    if (tag !== null) behind.settled(repository, tag);
    else behind.complete(repository, survey.tagsOf(digest), digest);
  }

  #noteLeftOut({ repository, digest, tag, survey }: Image, found: LeftOutItem[]): void {
    const problems = distinct(found);
    const { bus, pass, leftOut, log } = this.#context;
    const name = tag ?? [...survey.parentTargets].find(([, target]) => target === digest)?.[0];
    // A manifest to which no tag points any more is not selected. What the parent reports as changed may be a child.
    const isSelected = name !== undefined || survey.here.has(digest) || survey.settled.includes(digest);
    if (!isSelected && !leftOut.has({ repository, digest })) return;
    if (!leftOut.replace({ repository, digest, tag: name }, problems)) return;
    const first = problems.slice(0, MAX_LISTED_LEFT_OUT);
    const about = { repository, tag: name ?? digest, count: problems.length };
    log.warn({ ...about, reason: first[0]?.reason }, 'an image is here without some of its content');
    bus.publish(imageIncomplete, { pass, ...about, leftOut: first });
  }

  #targetOf({ repository, digest, survey }: Image): Target {
    const tags = this.#tagsOf(repository, digest);
    const targets = () => new Set(tags.slice(0, MAX_SIMILAR_TAGS).flatMap(survey.similarTo));
    const similar = () => [...targets()].slice(0, MAX_SIMILAR);
    return {
      tags,
      similar,
      deltas: (nodes, missing) =>
        this.#deltas?.decisions({
          ...{ repository, nodes, similar },
          missing: missing.filter(({ size }) => this.#context.deltaPace?.mayApply(size)),
        }) ?? new Map(),
    };
  }

  #tagsOf(repository: Repository, digest: Digest): Tag[] {
    const same = this.#images.filter((image) => image.repository === repository && image.digest === digest);
    return same.flatMap(({ tag }) => tag ?? []);
  }
}

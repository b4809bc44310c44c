import { each } from '#proto/async/each.ts';
import { putTag } from '#proto/content/manifests.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { imageConflict, imageFailed } from '#proto/sync/passes.ts';
import type { ParentReader } from '../../link/parent/parent.ts';
import { byBegun, byPlace, type Place } from '../context/order.ts';
import type { PassContext } from '../context/pass-context.ts';
import { loserTag } from '../context/plan.ts';
import type { TreeLimits } from '../context/tree-budget.ts';
import type { Survey } from '../observe/survey.ts';
import { bring, bringLoad, type Load, loadOf } from './bring.ts';
import { agreedReferrers, pruneReferrers } from './prune-referrers.ts';
import { NoRoom, Room } from './room.ts';

/** What is to come of one tag, or of what tags point to on both sides already. */
export type Image = Place & {
  tag: Tag | null;
  digest: Digest;
  survey: Survey;
  /** What the tag points to now. */
  expect: Digest | undefined;
  loser: Digest | undefined;
};

type Looked = Image & { begun: boolean; load: Load | undefined; error?: unknown };

/** Trees that are held in memory at a time, twice; looked at, and brought, at a time. */
const AHEAD = 200;
/** What one takes in memory, about. */
const DESCRIPTOR_BYTES = 300;
const LOOKS_AT_ONCE = 8;
const IMAGES_AT_ONCE = 8;

/**
 * Brings images in their order: priority, then what was begun, then by name. Which were begun is known once their
 * trees are, so those of the next ones are looked at while these come. What finds no room in memory waits for a later
 * batch, whose first image is looked at in any case.
 */
export async function bringImages(
  context: PassContext,
  images: Image[],
  { room = new Room(), limits }: { room?: Room; limits?: TreeLimits } = {},
): Promise<void> {
  const sorted = images.toSorted(byPlace);
  let at = 0;
  let waiting: Image[] = [];
  const next = (): Batch | undefined => {
    const some = waiting.splice(0, AHEAD);
    for (; some.length < AHEAD && at < sorted.length; at += 1) some.push(sorted[at] as Image);
    return some.length > 0 ? new Batch(context, some, room, limits) : undefined;
  };
  for (let batch = next(); batch; ) {
    await batch.begin();
    waiting = [...batch.waiting, ...waiting];
    const following = next();
    following?.begin();
    await batch.bring();
    batch = following;
  }
}

class Batch {
  /** Of its images those that there was no room for. */
  readonly waiting: Image[] = [];
  readonly #context: PassContext;
  readonly #images: Image[];
  readonly #room: Room;
  readonly #limits: TreeLimits | undefined;
  #held = 0;
  /** What two tags share is fetched, and brought, once. */
  readonly #once = new Map<string, Promise<unknown>>();
  #looks: Promise<Looked[]> | undefined;

  constructor(context: PassContext, images: Image[], room: Room, limits: TreeLimits | undefined) {
    this.#limits = limits;
    this.#context = {
      ...context,
      parent: this.#parent(context.parent),
      arrivals: this.#arrivals(context.arrivals),
    };
    this.#images = images;
    this.#room = room;
  }

  begin(): Promise<Looked[]> {
    this.#looks ??= this.#look();
    // Its failure is told to whoever waits for it; the pass may have ended before.
    this.#looks.catch(() => {});
    return this.#looks;
  }

  async bring(): Promise<void> {
    const looked = await this.begin();
    try {
      await each(looked.toSorted(byBegun), IMAGES_AT_ONCE, (image) => this.#bring(image));
    } finally {
      this.#once.clear();
      this.#looks = Promise.resolve([]);
      this.#room.release(this.#held);
      this.#held = 0;
    }
  }

  async #look(): Promise<Looked[]> {
    if (this.#images.length === 0) return [];
    const { bus, signal } = this.#context;
    const { ingests } = await bus.call(storageStatus, {}, { signal });
    const underWay = new Set(
      ingests.flatMap(({ purpose, digest }) => (purpose === 'transfer' && digest ? [digest] : [])),
    );
    const looked: Looked[] = [];
    await each(this.#images, LOOKS_AT_ONCE, async (image) => {
      try {
        const { repository, digest, tag } = image;
        const key = `${tag === null ? 'settled' : 'load'} ${repository}@${digest}`;
        const load = await this.#shared(key, () => this.#loadOf(image, underWay));
        looked.push({ ...image, load, begun: load.begun });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof NoRoom) this.waiting.push(image);
        else looked.push({ ...image, load: undefined, begun: false, error });
      }
    });
    return looked;
  }

  async #loadOf(image: Image, underWay: ReadonlySet<Digest>): Promise<Load> {
    const { repository, digest, survey, tag } = image;
    const isFirst = image === this.#images[0];
    const mayFetch = () => {
      if (this.#room.isFull && !isFirst) throw new NoRoom();
    };
    const context = this.#context;
    const { unsentChanges, skippedByParent, oversized } = context;
    oversized.mustNotBeKnown(repository, digest);
    const { platforms, referrers } = survey.selected;
    const agreed =
      tag === null && referrers !== false ? await agreedReferrers(context, repository, digest) : [];
    const load = await loadOf(
      context,
      repository,
      digest,
      {
        platforms,
        referrers,
        skippedByParent,
        isGone: (one) => unsentChanges.isGone(repository, one),
        isList: survey.lists.has(digest),
      },
      underWay,
      { mayFetch, limits: this.#limits },
    ).catch((error) => {
      oversized.note(repository, digest, error);
      throw error;
    });
    context.stats.dropped += await pruneReferrers(context, repository, digest, agreed, survey.here);
    return load;
  }

  async #bring(image: Looked): Promise<void> {
    const { bus, pass, stats, signal } = this.#context;
    const { repository, tag, digest, load } = image;
    try {
      if (!load) throw image.error;
      if (await this.#take(image, load)) stats.taken += 1;
    } catch (error) {
      signal.throwIfAborted();
      const failure = stats.fail({ repository, ...(tag && { tag }) }, error);
      if (!failure) return;
      const { code, reason } = failure;
      bus.publish(imageFailed, { pass, repository, tag, digest, code, reason });
    }
  }

  async #take({ repository, tag, digest, expect, loser }: Looked, load: Load): Promise<boolean> {
    const { bus, pass, layer } = this.#context;
    const content = () =>
      this.#shared(`content ${repository}@${digest}`, () =>
        bringLoad(this.#context, repository, load, this.#tagsOf(repository, digest)),
      );
    if (tag === null) return bring(this.#context, repository, digest, load, content);
    const kept = loser && loserTag(tag, layer, loser);
    if (kept) await bus.call(putTag, { repository, tag: kept, digest: loser });
    await bring(this.#context, repository, digest, load, content, { tag, expect });
    if (kept) {
      bus.publish(imageConflict, { pass, repository, tag, winner: digest, loser, loserTag: kept });
    }
    return true;
  }

  #tagsOf(repository: Repository, digest: Digest): Tag[] {
    const same = this.#images.filter((image) => image.repository === repository && image.digest === digest);
    return same.flatMap(({ tag }) => tag ?? []);
  }

  /** The parent, asked once for each manifest and each list of referrers, which are held until the batch is over. */
  #parent(parent: ParentReader): ParentReader {
    return {
      get answers() {
        return parent.answers;
      },
      get hasReferrers() {
        return parent.hasReferrers;
      },
      ping: (signal) => parent.ping(signal),
      repositories: (signal) => parent.repositories(signal),
      tags: (repository, signal) => parent.tags(repository, signal),
      manifest: (repository, reference, signal) =>
        this.#shared(`manifest ${repository}@${reference}`, async () => {
          using _ = await this.#room.fetches.take();
          const fetched = await parent.manifest(repository, reference, signal);
          // As bytes, and as what was read from them.
          this.#hold(2 * fetched.bytes.length);
          return fetched;
        }),
      referrers: (repository, digest, signal) =>
        this.#shared(`referrers ${repository}@${digest}`, async () => {
          const found = await parent.referrers(repository, digest, signal);
          this.#hold(DESCRIPTOR_BYTES * (found?.length ?? 0));
          return found;
        }),
      resolve: (repository, reference, signal) => parent.resolve(repository, reference, signal),
    };
  }

  /** What came for one image needs no job for the next. */
  #arrivals(arrivals: PassContext['arrivals']): PassContext['arrivals'] {
    const arrived = new Set<Digest>();
    return {
      send: (wanted) => arrivals.send(wanted),
      bring: async (wanted) => {
        if (arrived.has(wanted.digest)) return;
        await arrivals.bring(wanted);
        arrived.add(wanted.digest);
      },
    };
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    this.#room.hold(bytes);
  }

  #shared<T>(key: string, begin: () => Promise<T>): Promise<T> {
    const known = this.#once.get(key) as Promise<T> | undefined;
    if (known) return known;
    const begun = begin();
    this.#once.set(key, begun);
    return begun;
  }
}

import { batches } from '#proto/async/batches.ts';
import { each } from '#proto/async/each.ts';
import { missingManifests } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes, readManifest } from '#proto/oci/manifest.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { Survey } from '../observe/survey.ts';

/** For so long after all tags of the parent were asked for what they point to is believed, in ms; or as long as it took to ask. */
const FRESH_MS = 30_000;
/** As in `tree.ts`: more is no image. */
const MAX_DEPTH = 16;
/** Manifests that indexes of the parent name, in one repository. */
const MAX_CHILDREN = 500_000;
const AT_ONCE = 8;
/** Digests in one request to storage. */
const PAGE = 1_000;

type View = { until: number; above: ReadonlyMap<Tag, Digest>; within?: Promise<Set<Digest>> };

/**
 * What content of the parent is in use there, for whoever is about to delete by digest: such a deletion takes the tags
 * with it, and knows no condition. Looked at again where the survey is from before a long transfer.
 */
export class ParentUsage {
  readonly #context: PassContext;
  readonly #survey: Survey;
  /** Tags that go as well, as long as they point there. */
  readonly #going: ReadonlyMap<Tag, Digest | undefined>;
  #view: Promise<View>;
  readonly #now: () => number;

  constructor(context: PassContext, survey: Survey, now = Date.now) {
    this.#context = context;
    this.#survey = survey;
    this.#now = now;
    this.#view = Promise.resolve({ until: survey.at + FRESH_MS, above: survey.above });
    this.#going = new Map(
      survey.actions.flatMap(({ tag, action, views }) =>
        action.kind === 'withdraw' ? [[tag, views.parent]] : [],
      ),
    );
  }

  /** Whether a tag of the parent that is not to go points to the manifest, or an index that the layer does not have. */
  async needs(digest: Digest, except?: Tag): Promise<boolean> {
    const view = await this.#look();
    for (const [tag, target] of view.above) {
      const goes = tag === except || (this.#going.has(tag) && this.#going.get(tag) === target);
      if (target === digest && !goes) return true;
    }
    // Of an index that is here as well, whoever deleted the manifest here knew.
    view.within ??= this.#within([...new Set(view.above.values())]);
    return (await view.within).has(digest);
  }

  async #look(): Promise<View> {
    for (;;) {
      const asked = this.#view;
      const known = await asked;
      if (this.#now() < known.until) return known;
      // Whoever comes second waits for the first one's look.
      if (this.#view !== asked) continue;
      const look = this.#again();
      this.#view = look.catch(() => known);
      return look;
    }
  }

  async #again(): Promise<View> {
    const { parent, signal } = this.#context;
    const { repository } = this.#survey;
    const began = this.#now();
    const tags = await parent.tags(repository, signal);
    if (!tags && this.#survey.above.size > 0) {
      throw new Fault('parent-invalid', `the parent does not list the tags of ${repository} any more`);
    }
    const above = new Map<Tag, Digest>();
    await each(tags ?? [], AT_ONCE, async (tag) => {
      const digest = await parent.resolve(repository, tag, signal);
      if (digest) above.set(tag, digest);
    });
    const now = this.#now();
    return { until: now + Math.max(FRESH_MS, now - began), above };
  }

  async #within(roots: Digest[]): Promise<Set<Digest>> {
    const { bus, parent, signal } = this.#context;
    const { repository } = this.#survey;
    const found = new Set<Digest>();
    const seen = new Set(roots);
    for (let [level, depth] = [roots, 0]; level.length > 0; depth += 1) {
      if (depth > MAX_DEPTH || found.size > MAX_CHILDREN) throw tooLarge(repository);
      const next: Digest[] = [];
      for (const part of batches(level, PAGE)) {
        const { digests } = await bus.call(missingManifests, { repository, digests: part }, { signal });
        await each(digests, AT_ONCE, async (digest) => {
          const read = await parent.manifest(repository, digest, signal).catch((error) => {
            if (Fault.is(error, 'manifest-unknown')) return undefined;
            throw error;
          });
          const children = read ? readManifest(read.bytes, read.mediaType).manifests : [];
          for (const { digest: child, mediaType } of children) {
            found.add(child);
            if (!isIndex(mediaType) || seen.has(child)) continue;
            seen.add(child);
            next.push(child);
          }
        });
      }
      level = next;
    }
    return found;
  }
}

const tooLarge = (repository: string): Fault =>
  new Fault(
    'too-large',
    `the indexes of ${repository} at the parent name too much to tell what is still in use there`,
  );

const isIndex = (mediaType: string): boolean =>
  mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList;

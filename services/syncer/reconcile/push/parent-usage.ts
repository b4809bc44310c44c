import { batches } from '#proto/async/batches.ts';
import { each } from '#proto/async/each.ts';
import { missingManifests } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { PassContext } from '../context/pass-context.ts';
import { MAX_TREE_DEPTH } from '../context/tree-budget.ts';
import type { Survey } from '../observe/survey.ts';

/** How long a snapshot of the parent's tags stays fresh, in ms; at least as long as taking it took. */
const FRESH_MS = 30_000;
/** Max manifests that the parent's indexes name, per repository. */
const MAX_CHILDREN = 500_000;
/** Max requests to the parent in parallel. */
const MAX_PARALLEL = 8;
/** Max digests per request to storage. */
const PAGE = 1_000;

type Snapshot = { until: number; targets: ReadonlyMap<Tag, Digest>; children?: Promise<Set<Digest>> };

/**
 * Determines which content is in use at the parent, before a deletion by digest: such a deletion also deletes the tags
 * of the manifest, and has no condition. The snapshot from the survey is refreshed once it is older than `FRESH_MS`,
 * as after a long transfer.
 */
export class ParentUsage {
  readonly #context: PassContext;
  readonly #survey: Survey;
  /** Tags that this pass deletes, too, with their expected targets. */
  readonly #withdrawn: ReadonlyMap<Tag, Digest | undefined>;
  #snapshot: Promise<Snapshot>;
  readonly #now: () => number;

  constructor(context: PassContext, survey: Survey, now: () => number = () => performance.now()) {
    this.#context = context;
    this.#survey = survey;
    this.#now = now;
    this.#snapshot = Promise.resolve({ until: survey.at + FRESH_MS, targets: survey.parentTargets });
    this.#withdrawn = new Map(
      survey.actions.flatMap(({ tag, action, views }) =>
        action.kind === 'withdraw' ? [[tag, views.parent]] : [],
      ),
    );
  }

  /** Whether a remaining tag of the parent needs the manifest: as its target, or through an index not in this layer. */
  async needs(digest: Digest, except?: Tag): Promise<boolean> {
    const snapshot = await this.#current();
    for (const [tag, target] of snapshot.targets) {
      const isWithdrawn = tag === except || (this.#withdrawn.has(tag) && this.#withdrawn.get(tag) === target);
      if (target === digest && !isWithdrawn) return true;
    }
    // An index that this layer has, too, does not count: the client deleted the manifest here despite it.
    snapshot.children ??= this.#readChildren([...new Set(snapshot.targets.values())]);
    return (await snapshot.children).has(digest);
  }

  async #current(): Promise<Snapshot> {
    for (;;) {
      const pending = this.#snapshot;
      const known = await pending;
      if (this.#now() < known.until) return known;
      // Concurrent calls share one refresh.
      if (this.#snapshot !== pending) continue;
      const refreshed = this.#refresh();
      this.#snapshot = refreshed.catch(() => known);
      return refreshed;
    }
  }

  async #refresh(): Promise<Snapshot> {
    const { parent, signal } = this.#context;
    const { repository } = this.#survey;
    const start = this.#now();
    const tags = await parent.tags(repository, signal);
    if (!tags && this.#survey.parentTargets.size > 0) {
      throw new Fault('parent-invalid', `the parent no longer lists the tags of ${repository}`);
    }
    const targets = new Map<Tag, Digest>();
    await each(tags ?? [], MAX_PARALLEL, async (tag) => {
      const digest = await parent.resolve(repository, tag, signal);
      if (digest) targets.set(tag, digest);
    });
    const now = this.#now();
    return { until: now + Math.max(FRESH_MS, now - start), targets };
  }

  async #readChildren(roots: Digest[]): Promise<Set<Digest>> {
    const { bus, parent, signal } = this.#context;
    const { repository } = this.#survey;
    const children = new Set<Digest>();
    const seen = new Set(roots);
    for (let [level, depth] = [roots, 0]; level.length > 0; depth += 1) {
      if (depth > MAX_TREE_DEPTH || children.size > MAX_CHILDREN) throw tooLarge(repository);
      const next: Digest[] = [];
      for (const batch of batches(level, PAGE)) {
        const { digests } = await bus.call(missingManifests, { repository, digests: batch }, { signal });
        await each(digests, MAX_PARALLEL, async (digest) => {
          const read = await parent.manifest(repository, digest, signal).catch((error) => {
            if (Fault.is(error, 'manifest-unknown')) return undefined;
            throw error;
          });
          const listed = read ? readManifest(read.bytes, read.mediaType).manifests : [];
          for (const { digest: child, mediaType } of listed) {
            children.add(child);
            if (!isIndex(mediaType) || seen.has(child)) continue;
            seen.add(child);
            next.push(child);
          }
        });
      }
      level = next;
    }
    return children;
  }
}

const tooLarge = (repository: string): Fault =>
  new Fault(
    'too-large',
    `the indexes of ${repository} at the parent are too large to determine what is in use there`,
  );

const isIndex = (mediaType: string): boolean =>
  mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList;

import { each } from '#proto/async/each.ts';
import { type LeftOutManifest, missingManifests } from '#proto/content/manifests.ts';
import { choose } from '#proto/content/platforms.ts';
import { Fault } from '#proto/contract/fault.ts';
import { plural } from '#proto/contract/quantity-text.ts';
import type { Descriptor, Manifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import type { FetchedManifest } from '../../link/parent/parent-reader.ts';
import { leftOutItem, partOf } from '../context/leave-out.ts';
import { readLocalManifest } from '../context/local-manifest.ts';
import type { PassContext } from '../context/pass-context.ts';
import { MAX_TREE_DEPTH, TreeBudget, type TreeLimits } from '../context/tree-budget.ts';
import { type ImageNode, strip, toLeftOut } from './image-node.ts';
import { lacksBlobs } from './lacks-blobs.ts';
import { TreeReferrers } from './tree-referrers.ts';
import type { TreeSelection } from './tree-selection.ts';

/**
 * The manifests that the layer lacks of a tree, in commit order, and what the parent does not provide of it.
 * `subjects`: manifests whose referrers were looked at.
 */
export type MissingTree = { nodes: ImageNode[]; subjects: Digest[]; problems: LeftOutItem[] };

/**
 * `mayFetch` is called before a manifest is fetched; if it throws, loading ends with that error. `onTree` is called
 * with the root and its children, in commit order, before their referrers are listed. `tag`: a tag of the parent that
 * points to the root.
 */
export type TreeOptions = {
  mayFetch?: (() => void) | undefined;
  onTree?: ((nodes: readonly ImageNode[]) => void) | undefined;
  limits?: TreeLimits | undefined;
  tag?: Tag | undefined;
};

/** Max children of one manifest that are left out: they are sent to storage in one message. */
const MAX_LEFT_OUT = 4_000;
/** Max siblings of one tree that are visited in parallel. */
const MAX_PARALLEL = 8;

/**
 * The manifests that the layer lacks of a tree: the root, its children and its referrers, in the order in which they
 * can be committed (children before parents). A manifest that the layer has is not fetched, but its children are
 * visited: children that were left out may be wanted now.
 */
export async function loadMissingTree(
  context: PassContext,
  repository: Repository,
  root: Digest,
  wanted: TreeSelection,
  options: TreeOptions = {},
): Promise<MissingTree> {
  const tree = new Tree(context, repository, root, wanted, options);
  await tree.grow();
  return { nodes: tree.order, subjects: tree.subjects, problems: tree.problems };
}

class Tree {
  readonly order: ImageNode[] = [];
  readonly problems: LeftOutItem[] = [];
  readonly #context: PassContext;
  readonly #options: TreeOptions;
  readonly #repository: Repository;
  readonly #root: Digest;
  readonly #wanted: TreeSelection;
  readonly #budget: TreeBudget;
  /** Each manifest is visited once; if two indexes name it, both wait for the same visit. */
  readonly #visits = new Map<Digest, Promise<void>>();
  /** Subjects whose referrers are to be listed. No visit waits for them: a referrer may name its subject's parent. */
  #subjects: { digest: Digest; depth: number }[] = [];
  readonly #referrers: TreeReferrers;

  constructor(
    context: PassContext,
    repository: Repository,
    root: Digest,
    wanted: TreeSelection,
    options: TreeOptions,
  ) {
    this.#options = options;
    this.#context = context;
    this.#repository = repository;
    this.#root = root;
    this.#wanted = wanted;
    this.#budget = new TreeBudget(`${root} of ${repository}`, options.limits);
    this.#referrers = new TreeReferrers(context, repository, wanted, this.problems, {
      fetch: (digest) => this.#fetch(digest),
      visit: (digest, depth) => this.#visit(digest, depth, true),
    });
  }

  get subjects(): Digest[] {
    return this.#referrers.subjects;
  }

  async grow(): Promise<void> {
    await this.#visit(this.#root, 0, false);
    this.#options.onTree?.([...this.order]);
    while (this.#subjects.length > 0) {
      const subjects = this.#subjects;
      this.#subjects = [];
      await each(subjects, MAX_PARALLEL, ({ digest, depth }) => this.#referrers.load(digest, depth));
    }
  }

  #visit(digest: Digest, depth: number, isReferrer: boolean): Promise<void> {
    const known = this.#visits.get(digest);
    if (known) return known;
    const visit = this.#load(digest, depth, isReferrer);
    this.#visits.set(digest, visit);
    return visit;
  }

  async #load(digest: Digest, depth: number, isReferrer: boolean): Promise<void> {
    const { bus, signal } = this.#context;
    const repository = this.#repository;
    if (depth > MAX_TREE_DEPTH) {
      throw new Fault('manifest-invalid', `${this.#root} of ${repository} is nested too deeply`);
    }
    signal.throwIfAborted();
    this.#budget.visit();
    const { digests } = await bus.call(missingManifests, { repository, digests: [digest] });
    if (digests.length > 0) {
      this.#options.mayFetch?.();
      const fetching = this.#fetch(digest);
      this.#referrers.request(digest);
      const fetched = await fetching;
      const manifest = readManifest(fetched.bytes, fetched.mediaType);
      this.#budget.fetched(fetched.bytes.length, manifest.blobs.length);
      const leftOut = await this.#children(manifest, depth, isReferrer, () => false);
      if (leftOut.length > MAX_LEFT_OUT) {
        throw new Fault(
          'too-large',
          `${digest} of ${repository} leaves out more than ${MAX_LEFT_OUT} manifests`,
        );
      }
      this.order.push({ ...fetched, manifest: strip(manifest), leftOut, isReferrer });
    } else {
      const local = await readLocalManifest(this.#context, repository, digest);
      if (local) {
        const { manifest } = local;
        const leftOut = await this.#children(manifest, depth, isReferrer, this.#wanted.isDeleted);
        if (await lacksBlobs(this.#context, repository, digest, manifest))
          this.order.push({ ...local, manifest: strip(manifest), leftOut, isReferrer });
      }
    }
    this.#subjects.push({ digest, depth });
  }

  async #fetch(digest: Digest): Promise<FetchedManifest> {
    const { parent, prefetch, signal } = this.#context;
    const { tag } = this.#options;
    try {
      return (
        (await prefetch.manifest(this.#repository, digest)) ??
        (await parent.manifest(this.#repository, digest, signal))
      );
    } catch (error) {
      // Static mirrors, and some proxies, serve the target of a tag by its name only.
      const byTag = digest === this.#root && tag !== undefined && Fault.is(error, 'manifest-unknown');
      if (!byTag || isExcluded(error)) throw error;
      return await parent.taggedManifest(this.#repository, tag, digest, signal).catch((other) => {
        throw Fault.is(other, 'conflict') ? other : error;
      });
    }
  }

  /**
   * Visits the wanted children.
   * @returns the others
   * @throws Fault if the parent provides none of them
   */
  async #children(
    { manifests, blobs, malformed = 0 }: Manifest,
    depth: number,
    isReferrer: boolean,
    isDeleted: (digest: Digest) => boolean,
  ): Promise<LeftOutManifest[]> {
    const { pass, failedParts } = this.#context;
    const { leftOutByParent, platforms } = this.#wanted;
    const isList = depth === 0 && this.#wanted.isList;
    const { wanted, leftOut } = choose(manifests, platforms);
    let first: unknown;
    let visited = blobs.length;
    if (malformed > 0) {
      first = new Fault(
        'manifest-invalid',
        `the index has ${plural(malformed, 'entry', 'entries')} without a valid descriptor`,
      );
      this.problems.push(leftOutItem(isList ? 'referrer' : 'child', first as Fault));
    }
    const leave = (child: Descriptor, fault: Fault) => {
      leftOut.push(isExcluded(fault) ? toLeftOut(child) : { ...toLeftOut(child), unavailable: true });
      // The parent was configured without it: what a Terrace excludes is no fault.
      if (isExcluded(fault)) return;
      this.problems.push(leftOutItem(isList ? 'referrer' : 'child', fault, { digest: child.digest }));
      first ??= fault;
    };
    await each(wanted, MAX_PARALLEL, async (child) => {
      const { digest } = child;
      if (isDeleted(digest)) return void leftOut.push(toLeftOut(child));
      const part = partOf(this.#repository, digest);
      const known = leftOutByParent.get(part);
      if (known) return leave(child, known);
      try {
        if (isList && !(await this.#referrers.wants(child))) return void leftOut.push(toLeftOut(child));
        await this.#visit(digest, depth + 1, isReferrer);
        visited += 1;
      } catch (error) {
        if (!isExcluded(error) && !failedParts.isLeftOut(part, error, pass)) throw error;
        leftOutByParent.set(part, error);
        leave(child, error);
      }
    });
    if (first && visited === 0 && !isList) throw first;
    return leftOut;
  }
}

/** Whether the parent is a Terrace that is configured without this manifest. */
const isExcluded = (error: unknown): error is Fault =>
  Fault.is(error, 'manifest-unknown') &&
  error.detail?.leftOut !== undefined &&
  error.detail.unavailable === undefined;

import { each } from '#proto/async/each.ts';
import { type LeftOutManifest, missingManifests } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Descriptor, Manifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import type { FetchedManifest, ReferrerList } from '../../link/parent/parent-reader.ts';
import { isOfParent, leftOutAbove, leftOutItem, partOf } from '../context/leave-out.ts';
import { readLocalManifest } from '../context/local-manifest.ts';
import type { PassContext } from '../context/pass-context.ts';
import { MAX_TREE_DEPTH, TreeBudget, type TreeLimits } from '../context/tree-budget.ts';
import { choose } from '../select/platforms.ts';
import { mayWantReferrer, wantsReferrer } from '../select/referrer-filter.ts';
import { hiddenAbove, rememberIfHidden } from './hidden-referrers.ts';
import { type ImageNode, strip, toLeftOut } from './image-node.ts';
import { lacksBlobs } from './lacks-blobs.ts';

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

/** Which part of a tree is wanted. */
export type TreeSelection = {
  platforms?: readonly string[] | undefined;
  referrers: boolean | readonly string[];
  /** Whether a client deleted the manifest here: it is not pulled as a referrer, or as a child of a local manifest. */
  isDeleted: (digest: Digest) => boolean;
  /** Children that the parent does not provide, see `PassCaches.leftOutByParent`. Extended by `loadMissingTree`. */
  leftOutByParent: Map<string, Fault>;
  /** The root is a list of referrers: it may name manifests that are not wanted, or are deleted by now. */
  isList: boolean;
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
  readonly subjects: Digest[] = [];
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
  /** Lists of referrers that were requested together with the manifest. */
  readonly #lists = new Map<Digest, Promise<ReferrerList | undefined>>();

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
  }

  async grow(): Promise<void> {
    await this.#visit(this.#root, 0, false);
    this.#options.onTree?.([...this.order]);
    while (this.#subjects.length > 0) {
      const subjects = this.#subjects;
      this.#subjects = [];
      await each(subjects, MAX_PARALLEL, ({ digest, depth }) => this.#referrers(digest, depth));
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
      this.#requestReferrers(digest);
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
        `${malformed} of the entries of the index are not valid descriptors`,
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
        if (isList && !(await this.#wantsReferrer(child))) return void leftOut.push(toLeftOut(child));
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

  /** Requests the list before it is needed, so that a link with a long round trip carries both at a time. */
  #requestReferrers(digest: Digest): void {
    const { parent, signal } = this.#context;
    if (this.#wanted.referrers === false || this.#lists.size >= MAX_PARALLEL) return;
    const list = parent.referrers(this.#repository, digest, signal);
    // Handled when it is used. It is not, if the manifest can't be fetched.
    list.catch(() => {});
    this.#lists.set(digest, list);
  }

  /** A referrer that the parent does not provide never fails the image. */
  async #referrers(subject: Digest, depth: number): Promise<void> {
    const { referrers, isDeleted } = this.#wanted;
    if (referrers === false) return;
    this.subjects.push(subject);
    const { parent, signal } = this.#context;
    const requested = this.#lists.get(subject) ?? parent.referrers(this.#repository, subject, signal);
    const list = await requested.catch((error) => {
      signal.throwIfAborted();
      if (!isOfParent(error)) throw error;
      // If no list of the repository can be read, that is reported once, by the pass.
      if (!rememberIfHidden(this.#context, this.#repository)) {
        this.problems.push(leftOutItem('referrers', error, { subject }));
      }
      return undefined;
    });
    if (!list) return;
    const { manifests, malformed, leftOut, hidden } = list;
    if (hidden) this.#context.hiddenReferrers.set(this.#repository, hiddenAbove(hidden));
    if (malformed > 0) {
      const why = `the parent lists ${malformed} referrers of ${subject} that are not valid descriptors`;
      this.problems.push(leftOutItem('referrer', new Fault('parent-invalid', why), { subject }));
    }
    for (const found of leftOut) {
      const isUnwanted = found.digest !== undefined && isDeleted(found.digest);
      if (!isUnwanted && mayWantReferrer(referrers, found)) this.problems.push(leftOutAbove(found, subject));
    }
    const selected = manifests.filter((one) => !isDeleted(one.digest));
    await each(selected, MAX_PARALLEL, (one) => this.#referrer(one, subject, depth + 1));
  }

  /** Older registries, and lists under tags, may omit the artifact type of an entry: then its manifest has it. */
  async #wantsReferrer(listed: Descriptor): Promise<boolean> {
    const { referrers } = this.#wanted;
    if (typeof referrers === 'boolean' || listed.artifactType) return wantsReferrer(referrers, listed);
    const { bus } = this.#context;
    const { digest } = listed;
    const repository = this.#repository;
    const { digests } = await bus.call(missingManifests, { repository, digests: [digest] });
    const isHere = digests.length === 0;
    const found = (isHere && (await readLocalManifest(this.#context, repository, digest))) || undefined;
    const { bytes, mediaType } = found ?? (await this.#fetch(digest));
    const { artifactType } = readManifest(bytes, mediaType);
    return wantsReferrer(referrers, { ...listed, ...(artifactType && { artifactType }) });
  }

  async #referrer(listed: Descriptor, subject: Digest, depth: number): Promise<void> {
    if (!mayWantReferrer(this.#wanted.referrers, listed)) return;
    const { digest, artifactType } = listed;
    const what = { digest, subject, artifactType };
    const { pass, failedParts } = this.#context;
    const { leftOutByParent } = this.#wanted;
    const part = partOf(this.#repository, digest);
    const known = leftOutByParent.get(part);
    if (known) return void this.problems.push(leftOutItem('referrer', known, what));
    try {
      if (!(await this.#wantsReferrer(listed))) return;
      await this.#visit(digest, depth, true);
    } catch (error) {
      this.#context.signal.throwIfAborted();
      if (!isOfParent(error)) throw error;
      if (failedParts.isLeftOut(part, error, pass)) leftOutByParent.set(part, error);
      this.problems.push(leftOutItem('referrer', error, what));
    }
  }
}

/** Whether the parent is a Terrace that is configured without this manifest. */
const isExcluded = (error: unknown): error is Fault =>
  Fault.is(error, 'manifest-unknown') &&
  error.detail?.leftOut !== undefined &&
  error.detail.unavailable === undefined;

import { each } from '#proto/async/each.ts';
import { type LeftOutManifest, missingManifests } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Descriptor, type Manifest, parseManifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { FetchedManifest } from '../../link/parent/parent-registry.ts';
import { readLocalManifest } from '../context/local-manifest.ts';
import type { PassContext } from '../context/pass-context.ts';
import { MAX_TREE_DEPTH, TreeBudget, type TreeLimits } from '../context/tree-budget.ts';
import { choose, platformName } from '../select/platforms.ts';
import { wantsReferrer } from '../select/referrer-filter.ts';

/** A manifest that the layer lacks, and its children that are not pulled. */
export type ImageNode = FetchedManifest & { manifest: Manifest; leftOut: LeftOutManifest[] };

/** `mayFetch` is called before a manifest is fetched; if it throws, loading ends with that error. */
export type TreeOptions = { mayFetch?: (() => void) | undefined; limits?: TreeLimits | undefined };

/** Which part of a tree is wanted. */
export type TreeSelection = {
  platforms?: readonly string[] | undefined;
  referrers: boolean | readonly string[];
  /** Whether a client deleted the manifest here: it is not pulled as a referrer, or as a child of a local manifest. */
  isDeleted: (digest: Digest) => boolean;
  /** Children that the parent itself left out, or no longer has. Extended by `loadMissingTree`. */
  leftOutByParent: Set<Digest>;
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
): Promise<ImageNode[]> {
  const tree = new Tree(context, repository, root, wanted, options);
  await tree.grow();
  return tree.order;
}

class Tree {
  readonly order: ImageNode[] = [];
  readonly #context: PassContext;
  readonly #mayFetch: (() => void) | undefined;
  readonly #repository: Repository;
  readonly #root: Digest;
  readonly #wanted: TreeSelection;
  readonly #budget: TreeBudget;
  /** Each manifest is visited once; if two indexes name it, both wait for the same visit. */
  readonly #visits = new Map<Digest, Promise<void>>();
  /** Subjects whose referrers are to be listed. No visit waits for them: a referrer may name its subject's parent. */
  #subjects: { digest: Digest; depth: number }[] = [];

  constructor(
    context: PassContext,
    repository: Repository,
    root: Digest,
    wanted: TreeSelection,
    { limits, mayFetch }: TreeOptions,
  ) {
    this.#mayFetch = mayFetch;
    this.#context = context;
    this.#repository = repository;
    this.#root = root;
    this.#wanted = wanted;
    this.#budget = new TreeBudget(`${root} of ${repository}`, limits);
  }

  async grow(): Promise<void> {
    await this.#visit(this.#root, 0);
    while (this.#subjects.length > 0) {
      const subjects = this.#subjects;
      this.#subjects = [];
      await each(subjects, MAX_PARALLEL, ({ digest, depth }) => this.#referrers(digest, depth));
    }
  }

  #visit(digest: Digest, depth: number): Promise<void> {
    const known = this.#visits.get(digest);
    if (known) return known;
    const visit = this.#load(digest, depth);
    this.#visits.set(digest, visit);
    return visit;
  }

  async #load(digest: Digest, depth: number): Promise<void> {
    const { bus, parent, signal } = this.#context;
    const mayFetch = this.#mayFetch;
    const repository = this.#repository;
    if (depth > MAX_TREE_DEPTH) {
      throw new Fault('manifest-invalid', `${this.#root} of ${repository} is nested too deeply`);
    }
    signal.throwIfAborted();
    this.#budget.visit();
    const { digests } = await bus.call(missingManifests, { repository, digests: [digest] });
    if (digests.length > 0) {
      mayFetch?.();
      const fetched = await parent.manifest(repository, digest, signal);
      const manifest = parseManifest(fetched.bytes, fetched.mediaType);
      this.#budget.fetched(fetched.bytes.length, manifest.blobs.length);
      const leftOut = await this.#children(manifest, depth, () => false);
      if (leftOut.length > MAX_LEFT_OUT) {
        throw new Fault(
          'too-large',
          `${digest} of ${repository} leaves out more than ${MAX_LEFT_OUT} manifests`,
        );
      }
      this.order.push({ ...fetched, manifest: strip(manifest), leftOut });
    } else {
      const manifest = (await readLocalManifest(this.#context, repository, digest))?.manifest;
      if (manifest) await this.#children(manifest, depth, this.#wanted.isDeleted);
    }
    this.#subjects.push({ digest, depth });
  }

  /** Visits the wanted children. @returns the others */
  async #children(
    { manifests }: Manifest,
    depth: number,
    isDeleted: (digest: Digest) => boolean,
  ): Promise<LeftOutManifest[]> {
    const { leftOutByParent, platforms, referrers } = this.#wanted;
    const isList = depth === 0 && this.#wanted.isList;
    const { wanted, leftOut } = choose(manifests, platforms);
    await each(wanted, MAX_PARALLEL, async (child) => {
      const { digest } = child;
      const unwanted = isList && !wantsReferrer(referrers, child);
      if (unwanted || leftOutByParent.has(digest) || isDeleted(digest))
        return void leftOut.push(toLeftOut(child));
      try {
        await this.#visit(digest, depth + 1);
      } catch (error) {
        if (!Fault.is(error, 'manifest-unknown') || !(isList || error.detail?.leftOut !== undefined))
          throw error;
        leftOutByParent.add(digest);
        leftOut.push(toLeftOut(child));
      }
    });
    return leftOut;
  }

  async #referrers(subject: Digest, depth: number): Promise<void> {
    const { referrers, isDeleted } = this.#wanted;
    if (referrers === false) return;
    const { parent, signal } = this.#context;
    const listed = (await parent.referrers(this.#repository, subject, signal)) ?? [];
    const selected = listed.filter((one) => wantsReferrer(referrers, one) && !isDeleted(one.digest));
    await each(selected, MAX_PARALLEL, ({ digest }) => this.#visit(digest, depth + 1));
  }
}

const toLeftOut = (child: Descriptor): LeftOutManifest => ({
  digest: child.digest,
  platform: platformName(child) || 'unknown',
});

/** Drops fields that are not needed after parsing: annotations may be most of a manifest. */
const strip = ({ mediaType, blobs, manifests, subject }: Manifest): Manifest => ({
  mediaType,
  blobs: blobs.map(({ digest, size }) => ({ mediaType: '', digest, size })),
  manifests: manifests.map(({ digest, size, platform }) => ({
    mediaType: '',
    digest,
    size,
    ...(platform && { platform }),
  })),
  ...(subject && { subject: { mediaType: '', digest: subject.digest, size: subject.size } }),
});

/** Blobs of the nodes, without duplicates. */
export function blobsOf(nodes: ImageNode[]): Descriptor[] {
  const all = nodes.flatMap(({ manifest }) => manifest.blobs);
  return [...new Map(all.map((blob) => [blob.digest, blob])).values()];
}

import { each } from '#proto/async/each.ts';
import { missingManifests } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { plural } from '#proto/contract/quantity-text.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import type { FetchedManifest, ReferrerList } from '../../link/parent/parent-reader.ts';
import { isOfParent, leftOutAbove, leftOutItem, partOf } from '../context/leave-out.ts';
import { readLocalManifest } from '../context/local-manifest.ts';
import type { PassContext } from '../context/pass-context.ts';
import { mayWantReferrer, wantsReferrer } from '../select/referrer-filter.ts';
import { hiddenAbove, rememberIfHidden } from './hidden-referrers.ts';
import type { TreeSelection } from './tree-selection.ts';

/** Max referrers of one manifest that are visited in parallel, and max lists that are requested before their use. */
const MAX_PARALLEL = 8;

/** The tree to which the referrers belong. */
type SubjectTree = {
  fetch(digest: Digest): Promise<FetchedManifest>;
  /** Visits a referrer, with its children; its own referrers are loaded later. */
  visit(digest: Digest, depth: number): Promise<void>;
};

/** Finds the wanted referrers of the manifests of one tree. */
export class TreeReferrers {
  /** Manifests whose referrers were looked at. */
  readonly subjects: Digest[] = [];
  readonly #context: PassContext;
  readonly #repository: Repository;
  readonly #wanted: TreeSelection;
  readonly #problems: LeftOutItem[];
  readonly #tree: SubjectTree;
  /** Lists that were requested together with the manifest. */
  readonly #lists = new Map<Digest, Promise<ReferrerList | undefined>>();

  /** @param problems gets what the parent does not provide */
  constructor(
    context: PassContext,
    repository: Repository,
    wanted: TreeSelection,
    problems: LeftOutItem[],
    tree: SubjectTree,
  ) {
    this.#context = context;
    this.#repository = repository;
    this.#wanted = wanted;
    this.#problems = problems;
    this.#tree = tree;
  }

  /** Requests the list before it is needed, so that a link with a long round trip carries both at a time. */
  request(digest: Digest): void {
    const { parent, signal } = this.#context;
    if (this.#wanted.referrers === false || this.#lists.size >= MAX_PARALLEL) return;
    const list = parent.referrers(this.#repository, digest, signal);
    // Handled when it is used. It is not, if the manifest can't be fetched.
    list.catch(() => {});
    this.#lists.set(digest, list);
  }

  /** Visits the wanted referrers of a manifest. One that the parent does not provide never fails the image. */
  async load(subject: Digest, depth: number): Promise<void> {
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
        this.#problems.push(leftOutItem('referrers', error, { subject }));
      }
      return undefined;
    });
    if (!list) return;
    const { manifests, malformed, leftOut, hidden } = list;
    if (hidden) this.#context.hiddenReferrers.set(this.#repository, hiddenAbove(hidden));
    if (malformed > 0) {
      const entries = plural(malformed, 'referrer of', 'referrers of');
      const why = `the parent lists ${entries} ${subject} without a valid descriptor`;
      this.#problems.push(leftOutItem('referrer', new Fault('parent-invalid', why), { subject }));
    }
    for (const found of leftOut) {
      const isUnwanted = found.digest !== undefined && isDeleted(found.digest);
      if (!isUnwanted && mayWantReferrer(referrers, found)) this.#problems.push(leftOutAbove(found, subject));
    }
    const selected = manifests.filter((one) => !isDeleted(one.digest));
    await each(selected, MAX_PARALLEL, (one) => this.#referrer(one, subject, depth + 1));
  }

  /** Older registries, and lists under tags, may omit the artifact type of an entry: then its manifest has it. */
  async wants(listed: Descriptor): Promise<boolean> {
    const { referrers } = this.#wanted;
    if (typeof referrers === 'boolean' || listed.artifactType) return wantsReferrer(referrers, listed);
    const { bus } = this.#context;
    const { digest } = listed;
    const repository = this.#repository;
    const { digests } = await bus.call(missingManifests, { repository, digests: [digest] });
    const isHere = digests.length === 0;
    const found = (isHere && (await readLocalManifest(this.#context, repository, digest))) || undefined;
    const { bytes, mediaType } = found ?? (await this.#tree.fetch(digest));
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
    if (known) return void this.#problems.push(leftOutItem('referrer', known, what));
    try {
      if (!(await this.wants(listed))) return;
      await this.#tree.visit(digest, depth);
    } catch (error) {
      this.#context.signal.throwIfAborted();
      if (!isOfParent(error)) throw error;
      if (failedParts.isLeftOut(part, error, pass)) leftOutByParent.set(part, error);
      this.#problems.push(leftOutItem('referrer', error, what));
    }
  }
}

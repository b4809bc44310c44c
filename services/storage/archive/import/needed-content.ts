import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ArchiveList, ListedRepository } from '#proto/archive/list.ts';
import { MAX_LACKING } from '#proto/archive/list.ts';
import type { LeftOutManifest } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Descriptor, Manifest } from '#proto/oci/manifest.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { BlobStore } from '../../content/blob-store.ts';
import type { MetadataReader } from '../../metadata/metadata-reader.ts';
import type { BlobRecord } from '../../metadata/records.ts';
import { isIndex } from '../../repositories/sparse.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import type { SetContent } from './set-content.ts';

/** Manifests after which other work gets a turn. */
const TURN = 50;

/** A manifest that is to be put into a repository. `bytes` are read again then. */
export type NeededManifest = {
  repository: string;
  digest: string;
  mediaType: string;
  leftOut: LeftOutManifest[];
  /** The layer has its bytes. */
  isStored: boolean;
};

export type NeededContent = {
  /** In the order in which they can be put: what a manifest names is in front of it. */
  manifests: NeededManifest[];
  /** Blobs that the layer lacks, and the sets have. */
  blobs: Set<string>;
  /** What neither has: up to a limit. */
  lacking: Set<string>;
  /** A manifest that can't be read: one sentence each. */
  invalid: string[];
};

type WalkDeps = {
  metadata: MetadataReader;
  store: BlobStore;
  source: SetContent;
  run: ArchiveRun;
  /** May read only some repositories: of content that others have, a digest is no proof. `undefined`: may read all. */
  limitedSender?: string | undefined;
};

/**
 * What the layer lacks of the tags and referrers of a list. A manifest that a repository has is complete there, so only
 * what is new is read; an index is read anyway, since it may leave out what the set has.
 */
export async function neededContent(deps: WalkDeps, list: ArchiveList): Promise<NeededContent> {
  const needed: NeededContent = { manifests: [], blobs: new Set(), lacking: new Set(), invalid: [] };
  const types = new Map(list.manifests.map(({ digest, mediaType }) => [digest, mediaType]));
  for (const repository of list.repositories) {
    const walk = new NeedsWalk(deps, repository, needed);
    const tags = repository.tags.flatMap(({ digest }) => digest ?? []);
    for (const digest of [...tags, ...repository.referrers]) await walk.root(digest, types.get(digest) ?? '');
  }
  return needed;
}

class NeedsWalk {
  readonly #deps: WalkDeps;
  readonly #repository: string;
  readonly #needed: NeededContent;
  /** By index and child. */
  readonly #leftOut: Map<string, LeftOutManifest>;
  readonly #visited = new Map<string, boolean>();

  constructor(deps: WalkDeps, { name, leftOut }: ListedRepository, needed: NeededContent) {
    this.#deps = deps;
    this.#repository = name;
    this.#needed = needed;
    this.#leftOut = new Map(
      leftOut.map(({ index, ...child }) => [`${index} ${child.digest}`, child] as const),
    );
  }

  async root(digest: string, mediaType: string): Promise<void> {
    if (!(await this.#visit(digest, mediaType))) this.#lack(digest);
  }

  /** @returns whether the manifest is here, or can be put */
  async #visit(digest: string, mediaType: string): Promise<boolean> {
    const known = this.#visited.get(digest);
    if (known !== undefined) return known;
    // Until it is known: a manifest can't contain its own digest.
    this.#visited.set(digest, true);
    const { run } = this.#deps;
    if (this.#visited.size % TURN === 0) await run.pause();
    const isThere = await this.#examine(digest, mediaType);
    this.#visited.set(digest, isThere);
    return isThere;
  }

  async #examine(digest: string, mediaType: string): Promise<boolean> {
    const { metadata, source } = this.#deps;
    const [record, blob] = await Promise.all([
      metadata.manifest(this.#repository, digest),
      this.#own(digest),
    ]);
    const isHere = record !== undefined && blob !== undefined;
    if (isHere && !isIndex(record.mediaType)) return true;
    const bytes = blob ? await this.#readOwn(digest) : await source.manifest(digest);
    if (!bytes) return false;
    let manifest: Manifest;
    try {
      manifest = readManifest(bytes, record?.mediaType ?? mediaType);
    } catch (error) {
      if (!Fault.is(error)) throw error;
      this.#needed.invalid.push(`manifest ${digest} of repository ${this.#repository}: ${error.message}`);
      return true;
    }
    const leftOut: LeftOutManifest[] = [];
    const isNew = await this.#children(digest, manifest, isHere, leftOut);
    if (!isHere || isNew) {
      const { mediaType: type } = manifest;
      const isStored = blob !== undefined;
      const repository = this.#repository;
      this.#needed.manifests.push({ repository, digest, mediaType: type, leftOut, isStored });
    }
    return true;
  }

  /** @returns whether the sets have something that the index leaves out here */
  async #children(
    digest: string,
    { mediaType, blobs, manifests }: Manifest,
    isHere: boolean,
    leftOut: LeftOutManifest[],
  ): Promise<boolean> {
    let isNew = false;
    const entries = [
      ...blobs.map((child) => [child, true] as const),
      ...manifests.map((child) => [child, false] as const),
    ];
    const before = await this.#deps.metadata.leftOutByDigest(
      this.#repository,
      entries.map(([child]) => child.digest),
      digest,
    );
    for (const [i, [child, isBlob]] of entries.entries()) {
      const wasLeftOut = isHere && before[i] !== undefined;
      const isThere = isBlob ? await this.#blob(child) : await this.#visit(child.digest, child.mediaType);
      if (isThere) {
        isNew ||= wasLeftOut;
        continue;
      }
      const listed = this.#leftOut.get(`${digest} ${child.digest}`);
      if (listed && isIndex(mediaType)) leftOut.push(listed);
      else if (!wasLeftOut) this.#lack(child.digest);
    }
    return isNew;
  }

  async #blob({ digest }: Descriptor): Promise<boolean> {
    const { source } = this.#deps;
    if (await this.#own(digest)) return true;
    if (!source.find(digest)) return false;
    this.#needed.blobs.add(digest);
    return true;
  }

  /** The record of content that is here, and that the sender may use. */
  async #own(digest: string): Promise<BlobRecord | undefined> {
    const { metadata, limitedSender: sender } = this.#deps;
    const record = await metadata.blob(digest);
    if (!record || sender === undefined) return record;
    const [[link], manifest, [exchanged]] = await Promise.all([
      metadata.linksByDigest(this.#repository, [digest]),
      metadata.manifest(this.#repository, digest),
      metadata.carriedByDigest(sender, [digest]),
    ]);
    return link !== undefined || manifest !== undefined || exchanged !== undefined ? record : undefined;
  }

  async #readOwn(digest: string): Promise<Uint8Array | undefined> {
    const bytes = await readFile(this.#deps.store.file(digest)).catch(() => undefined);
    const [algorithm, hex] = splitDigest(digest);
    return bytes && createHash(algorithm).update(bytes).digest('hex') === hex ? bytes : undefined;
  }

  #lack(digest: string): void {
    if (this.#needed.lacking.size < MAX_LACKING) this.#needed.lacking.add(digest);
  }
}

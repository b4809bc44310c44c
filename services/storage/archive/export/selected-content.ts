import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ListedRepository, RootManifest } from '#proto/archive/list.ts';
import { MAX_CONTENT_ENTRIES } from '#proto/archive/list.ts';
import { choose } from '#proto/content/platforms.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { BlobStore } from '../../content/blob-store.ts';
import type { MetadataReader } from '../../metadata/metadata-reader.ts';
import type { ManifestRecord } from '../../metadata/records.ts';
import { isIndex } from '../../repositories/sparse.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import type { TagStamps } from '../book/tag-stamps.ts';

/** Manifests after which other work gets a turn. */
const TURN = 50;

export type SelectedContent = {
  repositories: ListedRepository[];
  /** What a tag points to, and referrers. */
  manifests: Map<string, RootManifest>;
  /** Size of everything that these consist of, manifests after what they name. */
  content: Map<string, number>;
  /** What each manifest names of it. */
  named: Map<string, string[]>;
};

type WalkDeps = {
  /** All records at one instant. */
  reader: MetadataReader;
  store: BlobStore;
  run: ArchiveRun;
  /** Of the children of indexes; undefined: all that are here. */
  platforms: readonly string[] | undefined;
};

/**
 * Everything that the tags consist of, with all referrers, down to the last one. Children that an index leaves out here
 * are left out there.
 * @throws Fault `blob-unknown` if content is damaged or missing; `too-large`
 */
export async function selectedContent(deps: WalkDeps, stamps: TagStamps): Promise<SelectedContent> {
  const selected: SelectedContent = {
    repositories: [],
    manifests: new Map(),
    content: new Map(),
    named: new Map(),
  };
  for (const [name, tags] of stamps) {
    const walk = new RepositoryWalk(deps, name, selected);
    for (const { digest } of tags.values()) if (digest !== undefined) await walk.root(digest);
    selected.repositories.push({
      name,
      tags: [...tags].map(([tag, { digest = null, version }]) => ({ tag, digest, ...version })),
      ...walk.result,
    });
  }
  return selected;
}

/** The manifests of one repository. */
class RepositoryWalk {
  readonly #deps: WalkDeps;
  readonly #repository: string;
  readonly #selected: SelectedContent;
  readonly #visited = new Set<string>();
  readonly #referrers: string[] = [];
  readonly #leftOut: ListedRepository['leftOut'] = [];

  constructor(deps: WalkDeps, repository: string, selected: SelectedContent) {
    this.#deps = deps;
    this.#repository = repository;
    this.#selected = selected;
  }

  get result(): Pick<ListedRepository, 'referrers' | 'leftOut'> {
    const byDigest = (one: { digest: string; index: string }) => `${one.index} ${one.digest}`;
    return {
      referrers: this.#referrers.sort(),
      leftOut: this.#leftOut.sort((a, b) => (byDigest(a) < byDigest(b) ? -1 : 1)),
    };
  }

  async root(digest: string, artifactType?: string): Promise<void> {
    const record = await this.#deps.reader.manifest(this.#repository, digest);
    if (!record) throw this.#missing('manifest', digest);
    const { mediaType, size } = record;
    const more = artifactType === undefined ? {} : { artifactType };
    const known = this.#selected.manifests.get(digest);
    this.#selected.manifests.set(digest, { ...known, digest, mediaType, size, ...more });
    await this.#visit(digest, record);
  }

  async #visit(digest: string, { mediaType }: ManifestRecord): Promise<void> {
    if (this.#visited.has(digest)) return;
    this.#visited.add(digest);
    const { reader, run } = this.#deps;
    if (this.#visited.size % TURN === 0) await run.pause();
    else run.mustGoOn();
    const bytes = await this.#read(digest);
    const { blobs, manifests } = readManifest(bytes, mediaType);
    const { named } = this.#selected;
    named.set(
      digest,
      [...blobs, ...manifests].map((child) => child.digest),
    );
    await this.#addBlobs(digest, mediaType, blobs);
    const { wanted, leftOut } = choose(manifests, this.#deps.platforms);
    for (const child of leftOut) this.#leftOut.push({ index: digest, ...child });
    await this.#visitChildren(digest, wanted);
    this.#add(digest, bytes.byteLength);
    for await (const [referrer, { artifactType }] of reader.referrersOfSubject(this.#repository, digest)) {
      if (this.#visited.has(referrer)) continue;
      this.#referrers.push(referrer);
      await this.root(referrer, artifactType);
    }
  }

  async #visitChildren(index: string, children: readonly Descriptor[]): Promise<void> {
    const digests = children.map(({ digest }) => digest);
    const records = await this.#deps.reader.manifestsByDigest(this.#repository, digests);
    for (const [i, child] of children.entries()) {
      const record = records[i];
      if (record) await this.#visit(child.digest, record);
      else await this.#leaveOut(index, child);
    }
  }

  async #addBlobs(manifest: string, mediaType: string, blobs: readonly Descriptor[]): Promise<void> {
    const records = await this.#deps.reader.blobsByDigest(blobs.map(({ digest }) => digest));
    for (const [i, blob] of blobs.entries()) {
      const record = records[i];
      if (record) this.#add(blob.digest, record.size);
      else if (isIndex(mediaType)) await this.#leaveOut(manifest, blob);
      else throw this.#missing('blob', blob.digest);
    }
  }

  /** A child that a client deleted, and that no record explains, is unavailable at the target as well. */
  async #leaveOut(index: string, { digest, platform }: Descriptor): Promise<void> {
    const [record] = await this.#deps.reader.leftOutByDigest(this.#repository, [digest], index);
    const name = [platform?.os, platform?.architecture, platform?.variant].filter(Boolean).join('/');
    const unavailable = { platform: name.slice(0, 100), unavailable: true as const };
    const fields = typeof record === 'string' ? { platform: record } : (record ?? unavailable);
    this.#leftOut.push({ index, digest, ...fields });
  }

  #add(digest: string, size: number): void {
    const { content } = this.#selected;
    content.set(digest, size);
    if (content.size <= MAX_CONTENT_ENTRIES) return;
    throw new Fault(
      'too-large',
      `the selection has more than ${MAX_CONTENT_ENTRIES} blobs and manifests: export fewer repositories at a time, each group with a --target of its own`,
    );
  }

  async #read(digest: string): Promise<Uint8Array> {
    const bytes = await readFile(this.#deps.store.file(digest)).catch(() => undefined);
    const [algorithm, hex] = splitDigest(digest);
    if (bytes && createHash(algorithm).update(bytes).digest('hex') === hex) return bytes;
    throw this.#missing('manifest', digest);
  }

  #missing(what: string, digest: string): Fault {
    return new Fault(
      'blob-unknown',
      `${what} ${digest} of repository ${this.#repository} is damaged or missing here: push its image again, or delete its tags; "terrace scrub" lists all damage`,
      { detail: { digest } },
    );
  }
}

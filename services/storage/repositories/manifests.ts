import { readFile } from 'node:fs/promises';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { manifestCommitted, manifestDeleted, tagDeleted } from '#proto/content/content-events.ts';
import type { LeftOutManifest, ManifestPlace } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_MANIFEST_BYTES, type Manifest, parseManifest } from '#proto/oci/manifest.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import { ingestFiles } from '#proto/volume/layout.ts';
import type { BlobStore } from '../content/blob-store.ts';
import { sizeOf } from '../content/blob-store.ts';
import type { ClaimedIngest, Commits, VerifiedContent } from '../content/commit.ts';
import type { HeldClaim } from '../content/content-store.ts';
import type { Grace } from '../content/grace.ts';
import type { Ingests } from '../content/ingests.ts';
import type { SpaceGuard } from '../content/space-guard.ts';
import type { EventOutbox } from '../history/event-outbox.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { type Change, drop, put } from '../metadata/metadata.ts';
import type { ListQuery } from '../metadata/page.ts';
import type { ManifestRecord, ReferrerRecord } from '../metadata/records.ts';
import type { Outgoing } from '../sync/outgoing.ts';
import type { Selection } from '../sync/selection.ts';
import { deleteSynchronized } from './delete-synchronized.ts';
import { leftOutOf, onReferrerPut, onSubjectDeleted } from './left-out-referrers.ts';
import { referrersPage } from './referrers.ts';
import { childrenMustBeHere, isIndex, leftOutPage, onIndexDeleted, onManifestPut } from './sparse.ts';
import { type Expect, manifestUnknown, type TagMove, type Tags } from './tags.ts';

/*
 * Repositories: the manifests of each, the tags that point to them, and the referrers of a subject.
 *
 * A put verifies the content, checks that every child is in the repository or is left out on purpose (sparse.ts), and
 * then writes blob, manifest, referrer, tags and their events as one synced batch. Tags can also be moved and deleted
 * alone (tags.ts); a tag's base is its target when parent and layer last agreed. Deleting a manifest deletes its tags,
 * garbage collection removes the bytes. left-out-referrers.ts records which referrers a pass has left out.
 * delete-synchronized.ts deletes everything that a repository received from the parent. All changes hold the
 * repository's lock.
 */

export type PutQuery = {
  repository: string;
  digest: string;
  mediaType: string;
  bytes?: Uint8Array;
  id?: string;
  claim?: string;
  tag?: string;
  expect?: Expect;
  base?: boolean;
  tags?: string[];
  arrived?: boolean;
  /** A registry has accepted it before: it is taken as it is. `arrived` includes this. */
  received?: boolean;
  link?: boolean;
  leftOut?: LeftOutManifest[];
};
type Put = { digest: string; size: number; subject?: string };

type ManifestsDeps = {
  metadata: Metadata;
  store: BlobStore;
  commits: Commits;
  ingests: Ingests;
  grace: Grace;
  space: SpaceGuard;
  locks: KeyedLock;
  outbox: EventOutbox;
  selection: Selection;
};

/** Manifests and referrers. Faults: see `proto/content/manifests.ts`. */
export class Manifests {
  readonly #deps: ManifestsDeps;
  readonly #tags: Tags;
  readonly #outgoing: Outgoing;

  constructor(deps: ManifestsDeps, tags: Tags, outgoing: Outgoing) {
    this.#deps = deps;
    this.#tags = tags;
    this.#outgoing = outgoing;
  }

  async put(query: PutQuery): Promise<Put> {
    const { digest, repository, bytes, id, claim } = query;
    using _ = await this.#deps.grace.hold(digest, repository);
    if (bytes) return await this.#putStaged(query, bytes);
    if (id !== undefined && claim !== undefined) return await this.#putIngest(query, { id, claim });
    throw new Fault('malformed', 'the request has no content: name `bytes`, or `id` and `claim`');
  }

  async #putStaged(query: PutQuery, bytes: Uint8Array): Promise<Put> {
    const { commits, space } = this.#deps;
    await space.mustHaveRoom();
    await using staged = await commits.stage(query.digest, bytes);
    return await this.#putVerified(query, bytes, staged);
  }

  async #putIngest(query: PutQuery, claimed: HeldClaim): Promise<Put> {
    const { commits, ingests } = this.#deps;
    try {
      return await ingests.commit(claimed, async (held) => {
        // Check the size before reading: a limit that is checked after the read bounds nothing.
        const bytes = sizeOf(ingestFiles(held.folder).data);
        if (bytes !== undefined && bytes > MAX_MANIFEST_BYTES) {
          throw new Fault(
            'too-large',
            `a manifest may have ${MAX_MANIFEST_BYTES} bytes, this one has ${bytes}`,
          );
        }
        const verified = await commits.verify(held, { digest: query.digest });
        return this.#putVerified(query, await readFile(verified.source), verified, held);
      });
    } catch (error) {
      const done = Fault.is(error, 'claim-lost') && (await this.#alreadyDone(query));
      if (done) return done;
      throw error;
    }
  }

  async #putVerified(
    query: PutQuery,
    content: Uint8Array,
    verified: VerifiedContent,
    held?: ClaimedIngest,
  ): Promise<Put> {
    const { metadata, commits, grace, locks } = this.#deps;
    const { repository, digest, mediaType, leftOut, link, received = query.arrived } = query;
    // What the parent has is taken as it is; what a client pushes has to be correct.
    const manifest = received ? readManifest(content, mediaType) : parseManifest(content, mediaType);
    const { size } = verified;
    await locks.run(`blob ${digest}`, () =>
      locks.run(`repository ${repository}`, async () => {
        // Within the lock under which links are dropped: links seen now stay until the manifest names them.
        using _ = await grace.hold(repository, ...childrenOf(manifest));
        const children = await childrenMustBeHere(metadata, repository, digest, manifest, { leftOut, link });
        await this.#commitBatch(query, manifest, size, async () => [
          ...(await commits.moveIn(held, verified)),
          ...children,
          ...(held ? drop.ingest(held.id) : []),
        ]);
      }),
    );
    return { digest, size, ...(manifest.subject && { subject: manifest.subject.digest }) };
  }

  async get(repository: string, reference: string): Promise<ManifestPlace> {
    const { metadata, store, grace } = this.#deps;
    const digest = reference.includes(':') ? reference : await metadata.tag(repository, reference);
    if (digest !== undefined) await grace.renew(digest);
    const record = digest !== undefined && (await this.#present(repository, digest));
    if (!record) throw await manifestUnknown(this.#deps, repository, reference);
    return { digest, mediaType: record.mediaType, size: record.size, path: store.path(digest) };
  }

  async missing(repository: string, digests: string[]): Promise<string[]> {
    const { metadata, grace } = this.#deps;
    await grace.renew(...digests);
    const [records, blobs] = await Promise.all([
      metadata.manifestsByDigest(repository, digests),
      metadata.blobsByDigest(digests),
    ]);
    return digests.filter((_, i) => !records[i] || !blobs[i]);
  }

  /**
   * Also deletes the manifest's tags and its entry among the referrers of its subject. Bases stay: they record that the
   * layer deleted the tag. The bytes stay until garbage collection finds that nothing links them.
   */
  async delete(repository: string, digest: string, arrived = false): Promise<void> {
    const { metadata, locks, outbox } = this.#deps;
    await locks.run(`repository ${repository}`, async () => {
      const record = await metadata.manifest(repository, digest);
      if (!record) throw await manifestUnknown(this.#deps, repository, digest);
      const tags: string[] = [];
      for await (const [tag, target] of metadata.tagsOfRepository(repository))
        if (target === digest) tags.push(tag);
      const origin = arrived ? { arrived } : {};
      const prepared = [
        ...tags.map((tag) => outbox.prepare(tagDeleted, { repository, tag, from: digest, ...origin })),
        outbox.prepare(manifestDeleted, { repository, digest, ...origin }),
      ];
      await metadata.write([
        ...drop.manifest(repository, digest),
        ...(record.subject === undefined ? [] : drop.referrer(repository, record.subject, digest)),
        ...(await onSubjectDeleted(metadata, repository, digest)),
        ...(await this.#outgoing.delete(repository, digest, arrived)),
        ...(isIndex(record.mediaType) ? await onIndexDeleted(metadata, repository, digest) : []),
        ...tags.flatMap((tag) => drop.tag(repository, tag)),
        ...prepared.flatMap(({ changes }) => changes),
      ]);
      for (const { publish } of prepared) publish();
    });
  }

  async referrers(repository: string, subject: string, artifactType: string | undefined, page: ListQuery) {
    const { metadata } = this.#deps;
    const listed = await referrersPage(metadata, { repository, subject, artifactType }, page);
    const leftOut = page.after === undefined && (await leftOutOf(metadata, repository, subject));
    return { ...listed, ...(leftOut && { leftOut }) };
  }

  deleteSynchronized(repository: string) {
    return deleteSynchronized(this.#deps, repository);
  }

  listLeftOut(repository: string, page: ListQuery) {
    return leftOutPage(this.#deps.metadata, repository, page);
  }

  /**
   * Writes the one batch, then publishes. `moveIn` moves the content into the blob store and returns the changes that
   * go with it; it is called once the tags are checked, so that a refused move of a tag leaves the ingest as it is.
   */
  async #commitBatch(query: PutQuery, manifest: Manifest, size: number, moveIn: () => Promise<Change[]>) {
    const { metadata, outbox, selection } = this.#deps;
    const { repository, digest, tag, expect, base, tags = [], arrived = false } = query;
    const { mediaType, subject, artifactType, annotations } = manifest;
    const known = await metadata.manifest(repository, digest);
    const requested: TagMove[] = tags
      .filter((other) => other !== tag)
      .map((other) => ({ tag: other, digest, mediaType, arrived }));
    if (tag !== undefined) requested.push({ tag, digest, mediaType, expect, base, arrived });
    const moves = await Promise.all(requested.map((move) => this.#tags.move(repository, move)));
    const referrer: ReferrerRecord = {
      mediaType,
      size,
      ...(artifactType && { artifactType }),
      ...(annotations && { annotations }),
    };
    const origin = arrived ? { arrived } : selection.covers(repository) ? {} : { unselected: true as const };
    const committed = { repository, digest, mediaType, size, ...origin };
    const prepared = [
      ...(known?.mediaType === mediaType ? [] : [outbox.prepare(manifestCommitted, committed)]),
      ...moves,
    ];
    await metadata.write([
      ...(await moveIn()),
      ...put.manifest(repository, digest, { mediaType, size, ...(subject && { subject: subject.digest }) }),
      ...(subject ? put.referrer(repository, subject.digest, digest, referrer) : []),
      ...(subject ? await onReferrerPut(metadata, repository, subject.digest, digest) : []),
      ...(await this.#outgoing.put(repository, digest, { here: known !== undefined, arrived })),
      ...(await onManifestPut(metadata, repository, digest)),
      ...prepared.flatMap(({ changes }) => changes),
      ...childrenOf(manifest).flatMap(drop.transferred),
    ]);
    for (const { publish } of prepared) publish();
  }

  /** The record of a manifest whose bytes exist and are not known to be damaged. */
  async #present(repository: string, digest: string): Promise<ManifestRecord | undefined> {
    const { metadata } = this.#deps;
    const [record, blob] = await Promise.all([metadata.manifest(repository, digest), metadata.blob(digest)]);
    return blob && record;
  }

  /** For a retry after a lost reply: the result, if the put has already taken effect. */
  async #alreadyDone({ repository, digest, tag, tags = [] }: PutQuery): Promise<Put | undefined> {
    const { metadata } = this.#deps;
    const record = await this.#present(repository, digest);
    if (!record) return undefined;
    for (const name of tag === undefined ? tags : [tag, ...tags]) {
      if ((await metadata.tag(repository, name)) !== digest) return undefined;
    }
    return { digest, size: record.size, ...(record.subject !== undefined && { subject: record.subject }) };
  }
}

const childrenOf = ({ blobs, manifests }: Manifest) => [...blobs, ...manifests].map(({ digest }) => digest);

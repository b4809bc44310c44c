import type { Static } from '@sinclair/typebox';
import { type describeImages, type ImageFacts, MAX_PLATFORMS } from '#proto/content/images.ts';
import { clip } from '#proto/contract/clip.ts';
import { packedSize } from '#proto/contract/packed-size.ts';
import { configDigestOf, isImageConfig, platformOfConfig, platformText } from '#proto/oci/image-config.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { BlobStore } from '../content/blob-store.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { attachedTo, isAttestation } from './attached.ts';
import { CommittedContent, type ReadManifest } from './committed-content.ts';

/*
 * Facts of images for lists and inventories, read from the committed manifests, without a client's grace: a list of
 * everything must not protect everything.
 *
 *   images.ts             platforms and sizes of an image with all its parts
 *   attached.ts           signatures, SBOMs and attestations that belong to it
 *   signer.ts             what a signature says of its author
 *   committed-content.ts  reads manifests and other small files
 */

/** Max manifests of an index, with those of indexes in it, that are read. */
const MAX_MANIFESTS = 200;
/** Max depth of indexes in indexes. */
const MAX_DEPTH = 3;
/** Max size of a configuration that is read for its platform, in bytes. */
const MAX_CONFIG_BYTES = 1024 * 1024;
/** Max size of an answer, which must fit into one bus message, in bytes. */
const MAX_ANSWER_BYTES = 512 * 1024;

type ImagesDeps = { metadata: Metadata; store: BlobStore };

/** What an image consists of, as far as it was read. */
type Contents = {
  /** Size of each part that is here, by digest. */
  here: Map<string, number>;
  missing: Set<string>;
  platforms: Set<string>;
  manifests: number;
};

/** Facts of the images of a layer. */
export class Images {
  readonly #metadata: Metadata;
  readonly #content: CommittedContent;

  constructor({ metadata, store }: ImagesDeps) {
    this.#metadata = metadata;
    this.#content = new CommittedContent(store);
  }

  async describe({
    repository,
    digests,
    attached = false,
  }: Static<typeof describeImages.query>): Promise<Static<typeof describeImages.reply>> {
    const images: ImageFacts[] = [];
    let room = MAX_ANSWER_BYTES;
    for (const [index, digest] of digests.entries()) {
      const facts = await this.#factsOf(repository, digest, attached);
      if (!facts) continue;
      room -= packedSize(facts);
      if (room < 0 && images.length > 0) return { images, described: index };
      images.push(facts);
    }
    return { images, described: digests.length };
  }

  /** @returns undefined if the repository does not have the manifest */
  async #factsOf(repository: string, digest: string, attached: boolean): Promise<ImageFacts | undefined> {
    const record = await this.#metadata.manifest(repository, digest);
    if (!record) return undefined;
    const { mediaType, size } = record;
    const image = await this.#content.manifest(digest, mediaType);
    const contents: Contents = {
      here: new Map([[digest, size]]),
      missing: new Set(image ? [] : [digest]),
      platforms: new Set(),
      manifests: 0,
    };
    if (image) await this.#add(contents, repository, image, 0);
    const { here, missing, platforms } = contents;
    const artifactType = artifactTypeOf(image);
    return {
      digest,
      mediaType,
      ...(artifactType && { artifactType }),
      size,
      total: [...here.values()].reduce((sum, one) => sum + one, 0),
      missing: missing.size,
      platforms: [...platforms].slice(0, MAX_PLATFORMS),
      ...(attached &&
        (await attachedTo({ metadata: this.#metadata, content: this.#content }, repository, digest, image))),
    };
  }

  /** Adds all parts of a manifest. */
  async #add(contents: Contents, repository: string, image: ReadManifest, depth: number): Promise<void> {
    await this.#addBlobs(contents, image);
    const entries = image.manifests.filter(({ digest }) => !contents.here.has(digest));
    const room = depth < MAX_DEPTH ? Math.max(0, MAX_MANIFESTS - contents.manifests) : 0;
    const read = entries.slice(0, room);
    contents.manifests += read.length;
    const records = await this.#metadata.manifestsByDigest(
      repository,
      read.map(({ digest }) => digest),
    );
    for (const [index, entry] of read.entries()) {
      const record = records[index];
      const child = record && (await this.#content.manifest(entry.digest, record.mediaType));
      if (!child) {
        contents.missing.add(entry.digest);
        continue;
      }
      contents.here.set(entry.digest, record.size);
      const named = isAttestation(entry) ? undefined : platformText(entry.platform);
      if (named) contents.platforms.add(named);
      await this.#add(contents, repository, child, depth + 1);
    }
    if (depth === 0 && contents.platforms.size === 0) await this.#addOwnPlatform(contents, image);
  }

  async #addBlobs({ here, missing }: Contents, { blobs }: ReadManifest): Promise<void> {
    const digests = [...new Set(blobs.map(({ digest }) => digest))];
    const records = await this.#metadata.blobsByDigest(digests);
    for (const [index, digest] of digests.entries()) {
      const record = records[index];
      if (record) here.set(digest, record.size);
      else missing.add(digest);
    }
  }

  /** Of an image that is in no index: its configuration names the platform. */
  async #addOwnPlatform({ platforms }: Contents, { blobs, json }: ReadManifest): Promise<void> {
    const digest = configDigestOf(json);
    const config = blobs.find((blob: Descriptor) => blob.digest === digest);
    if (!config || !isImageConfig(config.mediaType)) return;
    const bytes = await this.#content.read(config.digest, MAX_CONFIG_BYTES);
    const platform = bytes && platformOfConfig(bytes);
    if (platform) platforms.add(platform);
  }
}

const artifactTypeOf = (image: ReadManifest | undefined): string | undefined =>
  image?.artifactType && !isImageConfig(image.artifactType) ? clip(image.artifactType, 256) : undefined;

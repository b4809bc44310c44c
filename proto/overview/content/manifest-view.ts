import { MAX_PARTS, MAX_REFERRERS, type Manifest as ManifestAnswer } from '../../api/manifests.ts';
import type { BusCaller } from '../../bus/roles.ts';
import { missingBlobs } from '../../content/blobs.ts';
import { describeImages } from '../../content/images.ts';
import { listLeftOut, listReferrers, type ManifestPlace, missingManifests } from '../../content/manifests.ts';
import { configDigestOf } from '../../oci/image-config.ts';
import { type Descriptor, jsonOf, type Manifest } from '../../oci/manifest.ts';
import { isDigest } from '../../oci/names.ts';
import { readManifest } from '../../oci/read-manifest.ts';
import { syncTags } from '../../sync/behind.ts';
import { annotationsOf, contentOf, platformOf, referrerOf } from './manifest-parts.ts';

/** Reads a committed manifest. @throws Fault `name-unknown`, `manifest-unknown` */
export type ReadManifestBytes = (
  repository: string,
  reference: string,
) => Promise<{ place: Omit<ManifestPlace, 'path'>; bytes: Uint8Array }>;

type ViewDeps = { bus: BusCaller; read: ReadManifestBytes; patience?: number | undefined };

/** A manifest: its parts, which of them the layer has, and what belongs to it. */
export async function manifestView(
  { bus, read, patience }: ViewDeps,
  repository: string,
  reference: string,
): Promise<ManifestAnswer> {
  const options = patience === undefined ? {} : { patience };
  const { place, bytes } = await read(repository, reference);
  const { digest, mediaType, size } = place;
  const manifest = readManifest(bytes, mediaType);
  const config = configDigestOf(jsonOf(bytes));
  const all = [...manifest.blobs, ...manifest.foreign];
  const blobs = all.filter((blob) => blob.digest !== config);
  const layers = blobs.slice(0, MAX_PARTS);
  const platforms = manifest.manifests.slice(0, MAX_PARTS);
  const missingOf = async (own: string[], manifests: string[]): Promise<Set<string>> => {
    const [missing, absent] = await Promise.all([
      own.length > 0 ? bus.call(missingBlobs, { digests: own.slice(0, 1_000) }, options) : { digests: [] },
      manifests.length > 0
        ? bus.call(missingManifests, { repository, digests: manifests }, options)
        : { digests: [] },
    ]);
    return new Set([...missing.digests, ...absent.digests]);
  };
  const [missing, referrers, leftOut, described, tag] = await Promise.all([
    missingOf([...(config ? [config] : []), ...digestsOf(layers)], digestsOf(platforms)),
    bus.call(listReferrers, { repository, digest, limit: MAX_REFERRERS }, options),
    manifest.manifests.length > 0
      ? bus.call(listLeftOut, { repository, limit: MAX_PARTS }, options)
      : { leftOut: [] },
    bus.call(describeImages, { repository, digests: [digest], attached: true }, options),
    isDigest(reference) ? undefined : bus.call(syncTags, { repository, tag: reference, limit: 1 }, options),
  ]);
  const omitted = blobs.length + manifest.manifests.length - layers.length - platforms.length;
  const configDescriptor = all.find((blob) => blob.digest === config);
  const [image] = described.images;
  const [figures] = tag?.tags ?? [];
  return {
    repository,
    digest,
    mediaType,
    size,
    ...(manifest.artifactType && { artifactType: manifest.artifactType }),
    ...(manifest.subject && { subject: manifest.subject.digest }),
    platforms: platforms.map((entry) => platformOf(entry, missing)),
    ...(configDescriptor && { config: contentOf(configDescriptor, missing) }),
    layers: layers.map((layer) => contentOf(layer, missing)),
    total: size + sumOf(manifest),
    referrers: referrers.descriptors.map(referrerOf),
    moreReferrers: referrers.more,
    annotations: annotationsOf(manifest.annotations),
    leftOut: leftOut.leftOut
      .filter(({ index }) => index === digest)
      .map(({ index: _index, ...entry }) => entry),
    ...(figures?.origin && figures.digest === digest && { origin: figures.origin }),
    ...(image && { image }),
    ...(omitted > 0 && { omitted }),
  };
}

const digestsOf = (list: Descriptor[]): string[] => list.map(({ digest }) => digest);

const sumOf = ({ blobs }: Manifest): number => blobs.reduce((sum, { size }) => sum + size, 0);

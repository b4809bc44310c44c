import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import type { Content } from './content.ts';
import { expectStatus, getManifest, type Pushed, pushBlob, pushManifest, request } from './registry.ts';

export { contentOf, digestOf } from './content.ts';
export { deleteManifest, getManifest, pushBlob, pushManifest, repositoriesOf, tagsOf } from './registry.ts';
export { firstDifference, readAll, referrersOf, walk } from './walk.ts';

export type Format = 'oci' | 'docker';

/** Bytes, generated content, or the size of content that is generated from the image's name. */
export type Layer = number | Content | Uint8Array;

export type ImageOptions = {
  layers?: Layer[];
  format?: Format;
  /** Added to the config document. */
  config?: object;
  platform?: { os: string; architecture: string; variant?: string };
  annotations?: Record<string, string>;
};

export type PushedImage = Pushed & {
  config: Descriptor;
  layers: Descriptor[];
  platform: { os: string; architecture: string };
};

const kinds = {
  oci: {
    manifest: mediaTypes.ociManifest,
    index: mediaTypes.ociIndex,
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  docker: {
    manifest: mediaTypes.dockerManifest,
    index: mediaTypes.dockerList,
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
} as const;

const descriptorOf = ({ mediaType, digest, size }: Descriptor) => ({ mediaType, digest, size });

/** Pushes an image that any registry accepts. Its layers are noise and can't be unpacked. Without a tag, by digest. */
export async function pushImage(
  host: string,
  repository: string,
  tag: string | undefined,
  { layers = [1_000], format = 'oci', config = {}, platform, annotations }: ImageOptions = {},
): Promise<PushedImage> {
  const kind = kinds[format];
  const pushed: Descriptor[] = [];
  for (const [index, layer] of layers.entries()) {
    const blob =
      typeof layer === 'number' ? { seed: `${repository}:${tag}/${index}/${layer}`, size: layer } : layer;
    pushed.push({ ...(await pushBlob(host, repository, blob)), mediaType: kind.layer });
  }
  const target = platform ?? { os: 'linux', architecture: 'amd64' };
  const rootfs = { type: 'layers', diff_ids: pushed.map(({ digest }) => digest) };
  const document = Buffer.from(JSON.stringify({ ...target, rootfs, config: {}, ...config }));
  const described = { ...(await pushBlob(host, repository, document)), mediaType: kind.config };
  const manifest = await pushManifest(host, repository, tag, kind.manifest, {
    schemaVersion: 2,
    mediaType: kind.manifest,
    config: described,
    layers: pushed,
    ...(annotations && { annotations }),
  });
  return { ...manifest, config: described, layers: pushed, platform: target };
}

/** Pushes an index of manifests or indexes that are already in the repository. */
export async function pushIndex(
  host: string,
  repository: string,
  tag: string | undefined,
  manifests: (Descriptor & { platform?: object })[],
  { format = 'oci' }: { format?: Format } = {},
): Promise<Pushed> {
  const mediaType = kinds[format].index;
  const children = manifests.map((child) => ({
    ...descriptorOf(child),
    ...(child.platform && { platform: child.platform }),
  }));
  return pushManifest(host, repository, tag, mediaType, { schemaVersion: 2, mediaType, manifests: children });
}

export type ArtifactOptions = {
  subject?: Descriptor;
  artifactType?: string;
  layers?: (Content | Uint8Array)[];
  tag?: string;
  annotations?: Record<string, string>;
};

/**
 * Pushes an artifact, such as a signature. If the registry does not support referrers, it is added to the list under
 * the subject's fallback tag, as clients have to do (distribution-spec, "Pushing Manifests with Subject").
 */
export async function pushArtifact(
  host: string,
  repository: string,
  { subject, artifactType = 'application/vnd.example.note', layers, tag, annotations }: ArtifactOptions = {},
): Promise<Pushed> {
  const empty = {
    ...(await pushBlob(host, repository, Buffer.from('{}'))),
    mediaType: 'application/vnd.oci.empty.v1+json',
  };
  const pushed: Descriptor[] = [];
  for (const layer of layers ?? [Buffer.from(`a note about ${subject?.digest}`)]) {
    pushed.push({ ...(await pushBlob(host, repository, layer)), mediaType: 'application/vnd.example.note' });
  }
  const artifact = await pushManifest(host, repository, tag, mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType,
    config: empty,
    layers: pushed,
    ...(subject && { subject: descriptorOf(subject) }),
    ...(annotations && { annotations }),
  });
  if (subject && !artifact.linked) {
    const entry = { ...descriptorOf(artifact), artifactType, ...(annotations && { annotations }) };
    await addToFallbackTag(host, repository, subject.digest, entry);
  }
  return artifact;
}

export const fallbackTag = (digest: string): string => digest.replace(':', '-');

async function addToFallbackTag(
  host: string,
  repository: string,
  subject: string,
  entry: Descriptor,
): Promise<void> {
  const tag = fallbackTag(subject);
  const current = await getManifest(host, repository, tag);
  const manifests = current ? JSON.parse(current.bytes.toString()).manifests : [];
  const mediaType = mediaTypes.ociIndex;
  const document = { schemaVersion: 2, mediaType, manifests: [...manifests, entry] };
  await pushManifest(host, repository, tag, mediaType, document);
}

/** Adds a tag to a manifest that is already in the repository. */
export async function tagImage(
  host: string,
  repository: string,
  { mediaType, bytes }: Pushed,
  tag: string,
): Promise<void> {
  const headers = { 'Content-Type': mediaType };
  const pending = request(host, `/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers,
    body: bytes as Buffer<ArrayBuffer>,
  });
  await (await expectStatus([201], pending)).arrayBuffer();
}

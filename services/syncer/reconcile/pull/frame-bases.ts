import { platformName } from '#proto/content/platforms.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { MAX_FRAME_BASES, MAX_GROUPED_BYTES } from '#proto/sync/transfers.ts';
import { compressionOf } from '../../frames/framed-types.ts';
import { readManifestIfHere } from '../context/local-manifest.ts';
import type { PassTools } from '../context/pass-context.ts';
import { platformsOf } from '../deltas/image-layers.ts';
import type { ImageNode } from './image-node.ts';

/** Max children of an index here that are read. */
const MAX_CHILDREN = 8;

/** Layers of an image here, and its platform; `''`: unknown. */
type LocalLayers = { platform: string; layers: Descriptor[] };

/**
 * For each missing layer that may have frames, the layers here that it may resemble, best ones first: those of the same
 * compression, in the images to which the tag pointed, or the tags near it, by their position.
 * @param similar finds manifests of the repository that are here; called if a layer may have frames
 */
export async function frameBases(
  tools: Pick<PassTools, 'bus' | 'volume'>,
  repository: Repository,
  nodes: readonly ImageNode[],
  missing: readonly Descriptor[],
  similar: () => readonly Digest[],
): Promise<Map<Digest, Digest[]>> {
  const bases = new Map<Digest, Digest[]>();
  const wanted = new Set(missing.filter(mayHaveFrames).map(({ digest }) => digest));
  if (wanted.size === 0) return bases;
  const platforms = platformsOf(nodes.map(({ manifest }) => manifest));
  const images: LocalLayers[] = [];
  for (const digest of similar()) {
    for (const image of await localLayers(tools, repository, digest)) images.push(image);
  }
  for (const { digest: image, manifest } of nodes) {
    const platform = platforms.get(image) ?? '';
    const ofPlatform = images.filter((one) => one.platform === platform || !one.platform || !platform);
    for (const [position, layer] of manifest.blobs.entries()) {
      if (!wanted.has(layer.digest)) continue;
      const found = ofPlatform.flatMap(({ layers }) => resembling(layer, position, layers));
      const before = bases.get(layer.digest) ?? [];
      bases.set(layer.digest, [...new Set([...before, ...found])].slice(0, MAX_FRAME_BASES));
    }
  }
  return bases;
}

const mayHaveFrames = ({ mediaType, size }: Descriptor): boolean =>
  size > MAX_GROUPED_BYTES && compressionOf(mediaType) !== undefined;

/** The layers of the same compression, those at the nearest positions first. */
function resembling(
  { digest, mediaType }: Descriptor,
  position: number,
  layers: readonly Descriptor[],
): Digest[] {
  const compression = compressionOf(mediaType);
  return layers
    .map((layer, index) => ({ layer, distance: Math.abs(index - position) }))
    .filter(({ layer }) => layer.digest !== digest && compressionOf(layer.mediaType) === compression)
    .sort((one, other) => one.distance - other.distance)
    .map(({ layer }) => layer.digest);
}

async function localLayers(
  tools: Pick<PassTools, 'bus' | 'volume'>,
  repository: Repository,
  root: Digest,
): Promise<LocalLayers[]> {
  const manifest = await readManifestIfHere(tools, repository, root);
  if (!manifest) return [];
  const found: LocalLayers[] = [{ platform: '', layers: manifest.blobs }];
  for (const child of manifest.manifests.slice(0, MAX_CHILDREN)) {
    const layers = (await readManifestIfHere(tools, repository, child.digest))?.blobs;
    if (layers) found.push({ platform: platformName(child), layers });
  }
  return found;
}

import { MAX_HELD } from '#proto/content/deltas.ts';
import { platformName } from '#proto/content/platforms.ts';
import { isIndexType, type Manifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { MAX_HELD_IMAGES } from '#proto/sync/delta-exchange.ts';
import { readManifestIfHere } from '../context/local-manifest.ts';
import type { PassTools } from '../context/pass-context.ts';

/**
 * Deltas that a pass asks for, on the way down: `image-deltas.ts` asks the parent once for each image
 * (`image-questions.ts`), and decides with `../../delta/worth.ts` which of them transfers use; `late-deltas.ts` has
 * blobs that began to cross in full continue as deltas. This file finds the layers here that the new ones may resemble.
 */

/** Max children of an index here that are read. */
const MAX_CHILDREN = 16;

/** Layers of an image, in its order. `platform`: as an index names it; `''`: unknown. */
export type ImageLayers = { platform: string; layers: Digest[] };

/** The layers of a manifest, in its order: its blobs without the config, which is the first one. */
export const layersOf = ({ mediaType, blobs }: Pick<Manifest, 'mediaType' | 'blobs'>): Digest[] =>
  (isIndexType(mediaType) ? blobs : blobs.slice(1)).map(({ digest }) => digest);

/** Platforms of manifests, as the indexes among them name them. */
export const platformsOf = (manifests: readonly Pick<Manifest, 'manifests'>[]): Map<Digest, string> =>
  new Map(
    manifests.flatMap(({ manifests: children }) =>
      children.map((child) => [child.digest, platformName(child)] as const),
    ),
  );

/** Images here, and of indexes their children, in the order of `roots`. */
export async function readImageLayers(
  tools: Pick<PassTools, 'bus' | 'volume'>,
  repository: Repository,
  roots: readonly Digest[],
): Promise<ImageLayers[]> {
  const images: ImageLayers[] = [];
  for (const root of roots) {
    const manifest = await readManifestIfHere(tools, repository, root);
    if (!manifest) continue;
    images.push({ platform: '', layers: layersOf(manifest) });
    const platforms = platformsOf([manifest]);
    for (const child of manifest.manifests.slice(0, MAX_CHILDREN)) {
      const image = await readManifestIfHere(tools, repository, child.digest);
      if (image) images.push({ platform: platforms.get(child.digest) ?? '', layers: layersOf(image) });
    }
  }
  return images.filter(({ layers }) => layers.length > 0);
}

/** Those of this platform, or of an unknown one, within the bounds of a question. */
export function heldFor(platform: string, images: readonly ImageLayers[]): Digest[][] {
  const alike = images.filter((image) => !platform || !image.platform || image.platform === platform);
  const held: Digest[][] = [];
  let left = MAX_HELD;
  for (const { layers } of alike.slice(0, MAX_HELD_IMAGES)) {
    const part = layers.slice(0, left);
    left -= part.length;
    if (part.length > 0) held.push(part);
  }
  return held;
}

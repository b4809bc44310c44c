import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Image, Pair } from '../../../bench/updates/pairs.ts';

/** Layers of these names, each with its size in bytes. */
export const layersOf = (sizes: Record<string, number>): Descriptor[] =>
  Object.entries(sizes).map(([name, size]) => ({ mediaType: 'layer', digest: `sha256:${name}`, size }));

const image = (layers: Descriptor[]): Image => ({
  digest: 'sha256:0',
  mediaType: 'image',
  layers,
  bytes: Buffer.alloc(0),
});

/** A pair of images with these layers. */
export const pairOf = (kind: string, v1: Descriptor[], v2: Descriptor[]): Pair => ({
  kind,
  builder: 'buildah',
  images: { v1: image(v1), v2: image(v2) },
});

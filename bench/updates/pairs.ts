import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Descriptor, ManifestDocument } from '#proto/oci/manifest.ts';
import { VERSIONS, type Version } from './kinds/kind.ts';

/** The two images of one kind and builder, which are in one repository. */
export type Pair = { kind: string; builder: string; images: Record<Version, Image> };
export type Image = { digest: string; mediaType: string; layers: Descriptor[]; bytes: Buffer };

/** A pair has the repository `kind/builder`, with the tags `v1` and `v2`. */
export const repositoryOf = ({ kind, builder }: Pick<Pair, 'kind' | 'builder'>): string =>
  `${kind}/${builder}`;

/** Layers of the new image that the old one has not, each once: what an update has to bring. */
export function changedLayers({ images: { v1, v2 } }: Pair): Descriptor[] {
  const known = new Set(v1.layers.map(({ digest }) => digest));
  return v2.layers.filter(({ digest }) => {
    const isNew = !known.has(digest);
    known.add(digest);
    return isNew;
  });
}

export const bytesOf = (layers: readonly Descriptor[]): number =>
  layers.reduce((sum, { size }) => sum + size, 0);

/** Reads the chosen layouts that `linkLayout` has made. A pair of which one image is missing is left out. */
export async function pairsIn(
  folder: string,
  isChosen: (name: Pick<Pair, 'kind' | 'builder'>) => boolean = () => true,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (const kind of await foldersIn(folder))
    for (const builder of await foldersIn(join(folder, kind))) {
      if (!isChosen({ kind, builder })) continue;
      const [v1, v2] = await Promise.all(
        VERSIONS.map((version) => imageOf(join(folder, kind, builder, version))),
      );
      if (v1 && v2) pairs.push({ kind, builder, images: { v1, v2 } });
    }
  return pairs;
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/** The image of an OCI layout; undefined if there is none. */
async function imageOf(layout: string): Promise<Image | undefined> {
  const index = await readFile(join(layout, 'index.json'), 'utf8').catch(() => undefined);
  const [manifest] = index ? (JSON.parse(index) as { manifests: Descriptor[] }).manifests : [];
  if (!manifest) return undefined;
  const { digest, mediaType } = manifest;
  const bytes = await readFile(blobIn(layout, digest));
  const { layers = [] } = JSON.parse(bytes.toString()) as ManifestDocument;
  return { digest, mediaType, layers, bytes };
}

/** Path of a blob of an OCI layout. */
export const blobIn = (layout: string, digest: string): string =>
  join(layout, 'blobs', digest.replace(':', '/'));

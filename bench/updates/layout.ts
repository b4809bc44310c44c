import { link, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Descriptor, ManifestDocument } from '#proto/oci/manifest.ts';
import type { Pushed } from '../../test/support/registry/registry.ts';
import { blobIn } from './pairs.ts';

/**
 * Makes an OCI layout of an image in the folder of a docker-registry: its files are links to those of the registry, so
 * that it takes no space. Manifest and media types are those that were pushed, also Docker's.
 * @param content folder of the registry's content
 */
export async function linkLayout(
  content: string,
  { mediaType, digest, size, bytes }: Pushed,
  layout: string,
): Promise<void> {
  const part = `${layout}.part`;
  await rm(part, { recursive: true, force: true });
  const { config, layers } = JSON.parse(bytes.toString()) as ManifestDocument;
  if (!config || !layers) throw new Error(`${layout} is no image, but ${mediaType}`);
  const descriptors: Descriptor[] = [config, ...layers, { mediaType, digest, size }];
  for (const blob of new Set(descriptors.map((each) => each.digest))) {
    const target = blobIn(part, blob);
    await mkdir(dirname(target), { recursive: true });
    await link(blobOf(content, blob), target);
  }
  await writeFile(join(part, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  const index = { schemaVersion: 2, manifests: [{ mediaType, digest, size }] };
  await writeFile(join(part, 'index.json'), JSON.stringify(index));
  await rm(layout, { recursive: true, force: true });
  await rename(part, layout);
}

/** Path of a blob in the folder of a docker-registry. */
function blobOf(content: string, digest: string): string {
  const [algorithm = '', hash = ''] = digest.split(':');
  return join(content, 'docker/registry/v2/blobs', algorithm, hash.slice(0, 2), hash, 'data');
}

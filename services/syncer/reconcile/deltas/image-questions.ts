import { MAX_HELD, MAX_WANTED } from '#proto/content/deltas.ts';
import type { Descriptor, Manifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { AskedDeltas } from '../../link/terrace/parent-deltas.ts';
import type { PassTools } from '../context/pass-context.ts';
import { heldFor, layersOf, platformsOf, readImageLayers } from './image-layers.ts';

type Node = { digest: Digest; manifest: Manifest; isReferrer: boolean };
/** An image to pull. `similar`: manifests here that it may resemble, best ones first. */
export type ImageToPull = {
  repository: Repository;
  nodes: readonly Node[];
  missing: readonly Descriptor[];
  similar: () => readonly Digest[];
};

/** One question for each image of the tree that lacks blobs, with the layers here of the same platform. */
export async function questionsOf(
  tools: Pick<PassTools, 'bus' | 'volume'>,
  { repository, nodes, missing, similar }: ImageToPull,
): Promise<AskedDeltas[]> {
  if (missing.length === 0) return [];
  const images = await readImageLayers(tools, repository, similar());
  const platforms = platformsOf(nodes.map(({ manifest }) => manifest));
  const left = new Map(missing.map((blob) => [blob.digest, blob]));
  const questions: AskedDeltas[] = [];
  for (const { digest: image, manifest, isReferrer } of nodes) {
    if (isReferrer) continue;
    const layers = layersOf(manifest);
    const held = heldFor(platforms.get(image) ?? '', images);
    const wanted = layers.flatMap((layer) => left.get(layer) ?? []).slice(0, MAX_WANTED);
    for (const { digest } of wanted) left.delete(digest);
    if (wanted.length === 0 || held.length === 0) continue;
    questions.push({
      repository,
      wanted: wanted.map(({ digest, size }) => ({ digest, size })),
      layers: layers.slice(0, MAX_HELD),
      held,
      wait: 0,
    });
  }
  return questions;
}

import type { BusCaller } from '../../bus/roles.ts';
import { describeImages, type ImageFacts, MAX_DESCRIBED } from '../../content/images.ts';

/** Facts of manifests of a repository, by digest; those that are not here have none. */
export async function imageFacts(
  bus: BusCaller,
  repository: string,
  digests: Iterable<string>,
  { attached = false, ...options }: { attached?: boolean; patience?: number; signal?: AbortSignal } = {},
): Promise<Map<string, ImageFacts>> {
  const facts = new Map<string, ImageFacts>();
  let left = [...new Set(digests)];
  while (left.length > 0) {
    const query = { repository, digests: left.slice(0, MAX_DESCRIBED), ...(attached && { attached }) };
    const { images, described } = await bus.call(describeImages, query, options);
    for (const image of images) facts.set(image.digest, image);
    left = left.slice(described);
  }
  return facts;
}

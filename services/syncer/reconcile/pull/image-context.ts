import type { ImageContext } from '#proto/content/arriving.ts';
import { isPlatformWanted, platformName } from '#proto/content/platforms.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { tagsOf } from '../select/tag-filter.ts';
import type { ImageNode } from './image-node.ts';

/**
 * Context of a blob in its image (tags, platforms, referrer). Layers below receive it before the image is complete
 * here, and decide by it whether to prefetch the blob. Pure.
 */

/** Max tags, and max platforms, per blob. */
const MAX_TAGS = 20;

/** @returns empty without a tag that will point to the image: only a layer that holds the entire repository wants it */
export function imageContexts(
  nodes: readonly Pick<ImageNode, 'digest' | 'manifest'>[],
  tags: Tag[],
): Map<Digest, ImageContext> {
  const contexts = new Map<Digest, ImageContext>();
  if (tags.length === 0) return contexts;
  const platforms = new Map<Digest, string>();
  for (const { manifest } of nodes) {
    for (const child of manifest.manifests) {
      const name = platformName(child);
      if (name) platforms.set(child.digest, name);
    }
  }
  for (const { digest, manifest } of nodes) {
    const platform = platforms.get(digest);
    for (const blob of manifest.blobs) {
      const before = contexts.get(blob.digest);
      const referrer = manifest.subject !== undefined && (!before || before.referrer === true);
      // A blob of a manifest without a platform belongs to all platforms.
      const names = before && !before.platforms ? [] : [...(before?.platforms ?? []), platform ?? []].flat();
      const isForAll = platform === undefined || names.length === 0 || names.length > MAX_TAGS;
      contexts.set(blob.digest, {
        tags: tags.slice(0, MAX_TAGS),
        ...(!isForAll && { platforms: [...new Set(names)] }),
        ...(referrer && { referrer }),
      });
    }
  }
  return contexts;
}

type Selected = Pick<Configuration['repositories'][number], 'tags' | 'platforms' | 'referrers'>;

/** Whether the selection certainly covers the blob's image. @param image absent if unknown */
export function isImageSelected(selected: Selected | undefined, image: ImageContext | undefined): boolean {
  if (!selected) return false;
  const { tags, platforms, referrers } = selected;
  if (!image) return !tags && !platforms && referrers === true;
  if (image.referrer && referrers !== true) return false;
  // `latest` depends on all tags of the repository.
  if (tags && (tags.latest !== undefined || tagsOf(tags, image.tags).size === 0)) return false;
  return !platforms || !image.platforms || isPlatformWanted(image.platforms, platforms);
}

import type { Part } from '#proto/content/arriving.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { choose, nameOf } from '../select/platforms.ts';
import { tagsOf } from '../select/tag-filter.ts';
import type { Branch } from './tree.ts';

/** What of an image a blob is, as the layers below are told before the image is here; and whether one wants it. Pure. */

/** As many as a layer below is told. */
const MAX_TAGS = 20;

/** @returns nothing where no tag is to point to the image: only what has all of a repository can tell that it wants it */
export function partsOf(branches: Pick<Branch, 'digest' | 'manifest'>[], tags: Tag[]): Map<Digest, Part> {
  const parts = new Map<Digest, Part>();
  if (tags.length === 0) return parts;
  const platforms = new Map<Digest, string>();
  for (const { manifest } of branches) {
    for (const child of manifest.manifests) {
      const name = nameOf(child);
      if (name) platforms.set(child.digest, name);
    }
  }
  for (const { digest, manifest } of branches) {
    const platform = platforms.get(digest);
    for (const blob of manifest.blobs) {
      const before = parts.get(blob.digest);
      const referrer = manifest.subject !== undefined && (!before || before.referrer === true);
      // What belongs to a manifest without a platform belongs to all.
      const some = before && !before.platforms ? [] : [...(before?.platforms ?? []), platform ?? []].flat();
      const all = platform === undefined || some.length === 0 || some.length > MAX_TAGS;
      parts.set(blob.digest, {
        tags: tags.slice(0, MAX_TAGS),
        ...(!all && { platforms: [...new Set(some)] }),
        ...(referrer && { referrer }),
      });
    }
  }
  return parts;
}

type Selected = Pick<Configuration['repositories'][number], 'tags' | 'platforms' | 'referrers'>;

/** Whether it is certain to be wanted, once it is there. */
export function isWanted(selected: Selected | undefined, part: Part | undefined): boolean {
  if (!selected) return false;
  const { tags, platforms, referrers } = selected;
  if (!part) return !tags && !platforms && referrers === true;
  if (part.referrer && referrers !== true) return false;
  // Which tags are the latest depends on all of them.
  if (tags && (tags.latest !== undefined || tagsOf(tags, part.tags).size === 0)) return false;
  return !platforms || !part.platforms || choose(part.platforms.map(childOf), platforms).wanted.length > 0;
}

function childOf(name: string, at: number): Descriptor {
  const [os = '', architecture = '', variant] = name.split('/');
  const platform = { os, architecture, ...(variant && { variant }) };
  return { mediaType: '', digest: String(at), size: 0, platform };
}

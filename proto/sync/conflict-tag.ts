import type { Digest } from '../oci/names.ts';

/** Tags that keep the loser of a conflict reachable: `<tag>.conflict-<layer>-<short digest>`. Pure. */

const CONFLICT = /\.conflict-[a-z0-9-]+-[0-9a-f]{12}$/;

export const isConflictTag = (tag: string): boolean => tag.includes('.conflict-') && CONFLICT.test(tag);

/** If the tag is a conflict tag itself, its suffix is replaced, so that names do not grow. */
export function loserTag(tag: string, layer: string, loser: Digest): string {
  const ending = `.conflict-${layer}-${loser.slice(loser.indexOf(':') + 1).slice(0, 12)}`;
  return originalTag(tag).slice(0, 128 - ending.length) + ending;
}

/** The tag for which the conflict was, or the tag itself; cut if it was long. */
export const originalTag = (tag: string): string => tag.replace(CONFLICT, '');

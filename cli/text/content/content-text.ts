import type { RepositoryItem, TagItem } from '#proto/api/repositories.ts';
import type { ImageFacts, TagOrigin } from '#proto/content/images.ts';
import { isAttachedTag } from '#proto/oci/artifact-kind.ts';
import type { SyncState } from '#proto/sync/sync-figure.ts';
import { formatBytes, formatDuration, plural } from '../../terminal/figures.ts';

/**
 * Content as rows and lines for people: repositories and tags (this file), one image (image-text.ts), and the inventory
 * (inventory-text.ts, csv.ts). Pure.
 */

export const REPOSITORY_HEAD = ['REPOSITORY', 'TAGS', 'SIZE', 'CHANGED', 'PARENT'];

export function repositoryRow(item: RepositoryItem, now: number): string[] {
  const { repository, tags = 0, bytes, changed } = item;
  return [
    repository,
    String(tags),
    bytes === undefined ? '' : formatBytes(bytes),
    changed === undefined ? (tags > 0 ? 'unknown' : '') : `${formatDuration(now - changed)} ago`,
    repositoryState(item),
  ];
}

/** How the repository stands against the parent, in a few words. */
export function repositoryState({ sync }: RepositoryItem): string {
  if (!sync) return 'local only';
  const { state, behind, ahead, uncompared, conflicts = 0 } = sync;
  const differing = [
    ...(behind?.tags ? [`behind ${behind.tags}`] : []),
    ...(ahead && changesOf(ahead) > 0 ? [`ahead ${changesOf(ahead)}`] : []),
  ];
  const words = uncompared
    ? ['uncompared', ...differing]
    : differing.length > 0
      ? differing
      : [STATES[state]];
  return [...words, ...(conflicts > 0 ? [plural(conflicts, 'conflict')] : [])].join(', ');
}

const changesOf = ({
  tags,
  manifests,
  deletions,
}: NonNullable<NonNullable<RepositoryItem['sync']>['ahead']>) => Math.max(tags, manifests + deletions);

const STATES: Record<SyncState, string> = {
  'in-sync': 'same',
  behind: 'behind',
  ahead: 'ahead',
  diverged: 'changed on both sides',
  unknown: 'uncompared',
  local: 'local only',
};

export const stateWords = (state: SyncState | undefined): string => STATES[state ?? 'local'];

export const TAG_HEAD = ['TAG', 'DIGEST', 'SIZE', 'PLATFORMS', 'SINCE', 'PARENT'];

export function tagRow({ tag, digest, image, origin, state, parked }: TagItem, now: number): string[] {
  const sides = `${stateWords(state)}${parked ? ', refused' : ''}`;
  if (digest === undefined) return [tagText(tag), 'not here yet', '', '', '', sides];
  return [
    tagText(tag),
    // Without the algorithm, which nearly always is the same.
    digest.slice(digest.indexOf(':') + 1).slice(0, 12),
    image ? formatBytes(image.total) : '',
    platformsText(image),
    origin?.since === undefined ? 'unknown' : `${formatDuration(now - origin.since)} ago`,
    sides,
  ];
}

/** A tag that is made of a digest, as those of signatures, in short: `sha256-0123456789ab….sig` */
export const tagText = (tag: string): string =>
  isAttachedTag(tag) ? tag.replace(/^(sha\d+-[0-9a-f]{12})[0-9a-f]+/, '$1…') : tag;

/** Without `linux/`, which nearly all images are for. */
export function platformsText(image: Pick<ImageFacts, 'platforms' | 'artifactType'> | undefined): string {
  if (!image) return '';
  if (image.platforms.length === 0) return image.artifactType ? 'artifact' : '';
  return image.platforms.map((platform) => platform.replace(/^linux\//, '')).join(', ');
}

/** `from the parent registry.example.org since 2030-01-01 14:00 UTC` */
export function originText({ from, name, since, before }: TagOrigin): string {
  if (from === 'unknown') {
    return before === undefined ? 'unknown' : `unknown, before ${timeText(before)}`;
  }
  const named = name === undefined ? ANONYMOUS[from] : `${SOURCES[from]} ${name}`;
  return since === undefined ? named : `${named}, since ${timeText(since)}`;
}

const SOURCES = { parent: 'from the parent', client: 'pushed by', child: 'pushed by the layer below' };
const ANONYMOUS = {
  parent: 'from the parent',
  client: 'pushed by a client without an account',
  child: 'pushed by a layer below',
};

export const timeText = (instant: number): string =>
  `${new Date(instant).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

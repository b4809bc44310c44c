import { isDeepStrictEqual } from 'node:util';
import { isDigest, isRepository, isTag } from '#proto/oci/names.ts';
import { hintOf, type RepairHint } from '#proto/volume/repair-request.ts';
import type { AnnouncementRecord } from '../metadata/records.ts';
import { kindOf, partsOfKey } from './record-rules.ts';
import type { Records } from './records.ts';
import type { Remnant } from './remnants.ts';

/** What of hints is true at the end: each manifest that is not gone, and of each tag what it pointed to, in order. */
export type Hints = {
  manifests: { repository: string; digest: string }[];
  /** By `<repository>!<tag>`. */
  tags: Map<string, string[]>;
};

/** Pure. */
export function effective(hints: RepairHint[]): Hints {
  const manifests = new Map<string, { repository: string; digest: string }>();
  const tags = new Map<string, string[]>();
  for (const { repository, digest, tag, gone } of hints) {
    const manifest = `${repository}!${digest}`;
    if (tag === undefined && gone) manifests.delete(manifest);
    else if (!gone) manifests.set(manifest, { repository, digest });
    if (tag === undefined) continue;
    const name = `${repository}!${tag}`;
    if (gone) tags.delete(name);
    else tags.set(name, [...(tags.get(name) ?? []), digest].slice(-MAX_MOVES));
  }
  return { manifests: [...manifests.values()], tags };
}

/** What storage did and no stream of events was seen to have. */
export async function announced(records: Records): Promise<RepairHint[]> {
  const found: RepairHint[] = [];
  for await (const [, { type, data }] of records.entries<AnnouncementRecord>('e!')) {
    const hint = hintOf(type, data);
    if (hint) found.push(hint);
  }
  return found;
}

/** Pure. */
export function hintsIn(remnants: Remnant[]): RepairHint[] {
  return remnants.flatMap(({ key, deleted, value }): RepairHint[] => {
    if (deleted) return [];
    const [repository = '', second = '', third] = partsOfKey(key);
    if (!isRepository(repository)) return [];
    switch (kindOf(key)) {
      case 't':
        return isTag(second) && typeof value === 'string' && isDigest(value)
          ? [{ repository, tag: second, digest: value }]
          : [];
      case 'm':
      case 'u':
        return isDigest(second) ? [{ repository, digest: second }] : [];
      case 'f':
        return third !== undefined && isDigest(third) ? [{ repository, digest: third }] : [];
      default:
        return [];
    }
  });
}

/** Of one tag, so many values are remembered. */
const MAX_MOVES = 100;

const NAMES: Record<string, string> = {
  a: 'token',
  c: 'scope map',
  h: 'layer below',
  m: 'manifest',
  r: 'repository',
  t: 'tag',
};

/**
 * What a person would miss, of an entry that was in damaged bytes; undefined where nothing is missing, or where nobody
 * knows it by a name. Pure.
 * @param now the record that is there
 */
export function lossOf({ key, deleted, value }: Remnant, now: unknown): string | undefined {
  const name = nameOf(key);
  if (!name) return undefined;
  if (deleted) return now === undefined ? undefined : `the deletion of ${name}: it is there again`;
  if (now === undefined) return name;
  // What is said of content is made of the content.
  if (kindOf(key) === 'm' || kindOf(key) === 'r') return undefined;
  return isDeepStrictEqual(now, value) ? undefined : `the last change of ${name}: it is as it was before`;
}

function nameOf(key: string): string | undefined {
  const kind = NAMES[kindOf(key)];
  const separator = kindOf(key) === 't' ? ':' : '@';
  return kind && `${kind} ${partsOfKey(key).join(separator)}`;
}

import { isDeepStrictEqual } from 'node:util';
import { isDigest, isRepository, isTag } from '#proto/oci/names.ts';
import { hintOf, type RepairHint } from '#proto/volume/repair-request.ts';
import { kinds, prefix } from '../metadata/keys.ts';
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

/** `serial`: of the announcement that tells of it, which are numbered in the order in which things were done. */
export type Announced = { serial: number; hint: RepairHint };

/** What storage did and no stream of events was seen to have. */
export async function announced(records: Records): Promise<Announced[]> {
  const found: Announced[] = [];
  for await (const [serial, { type, data }] of records.entries<AnnouncementRecord>(
    prefix(kinds.announcement),
  )) {
    const hint = hintOf(type, data);
    if (hint) found.push({ serial: Number(serial), hint });
  }
  return found;
}

/**
 * All hints in the order in which they became true, as far as one can know: what is still announced is newer than all
 * events, and so are damaged bytes that have a later announcement in them than one of these. Pure.
 */
export function inOrder(told: StoredEvent[], events: RepairHint[], still: Announced[]): RepairHint[] {
  const oldest = still[0]?.serial ?? Number.POSITIVE_INFINITY;
  const isLate = ({ serial = 0 }: StoredEvent) => serial > oldest;
  const late = [
    ...told.filter(isLate).map(({ serial = 0, hints }) => ({ serial, hints })),
    ...still.map(({ serial, hint }) => ({ serial, hints: [hint] })),
  ].sort((a, b) => a.serial - b.serial);
  const early = told.filter((one) => !isLate(one));
  return [...early.flatMap(({ hints }) => hints), ...events, ...late.flatMap(({ hints }) => hints)];
}

export type StoredEvent = {
  hints: RepairHint[];
  /** Of the last announcement among the entries. */
  serial: number | undefined;
  /** Of the entries, those of which a person may be told by name. */
  named: Remnant[];
  /** Some of the names may not be what they were: nothing is done with those. */
  doubtful: boolean;
};

/** Names of repositories in these may be checked against others of the same batch. */
const NAMING = new Set(['t', 's', 'm', 'u', 'v', 'f']);

/**
 * What damaged bytes tell. A name is believed where two entries have it: the record itself, and the event or the entry of
 * the journal that is written with it; the damage may be in either. Pure.
 * @param isThere whether there is content of this digest
 */
export function hintsIn(remnants: Remnant[], isThere: (digest: string) => boolean): StoredEvent {
  const mentions = new Map<string, number>();
  for (const remnant of remnants) {
    const name = nameIn(remnant);
    if (name) mentions.set(name, (mentions.get(name) ?? 0) + 1);
  }
  const isSure = (remnant: Remnant) => (mentions.get(nameIn(remnant) ?? '') ?? 0) > 1;
  const isNaming = ({ key }: Remnant) => NAMING.has(kindOf(key));
  const hints = new Map<string, RepairHint>();
  for (const remnant of remnants) {
    const hint = hintIn(remnant);
    if (!hint || !isSure(remnant)) continue;
    const name = nameIn(remnant) as string;
    const before = hints.get(name);
    // The last move counts; of a record and its event that tell of two digests, one is damaged.
    if (!before || isThere(hint.digest) || !isThere(before.digest)) hints.set(name, hint);
  }
  return {
    hints: [...hints.values()],
    serial: lastSerial(remnants),
    named: remnants.filter((remnant) => !isNaming(remnant) || isSure(remnant)),
    doubtful: remnants.some((remnant) => nameIn(remnant) !== undefined && !isSure(remnant)),
  };
}

function lastSerial(remnants: Remnant[]): number | undefined {
  let last: number | undefined;
  for (const { key } of remnants) {
    const serial = kindOf(key) === 'e' ? Number(partsOfKey(key)[0]) : Number.NaN;
    if (serial > (last ?? -1)) last = serial;
  }
  return last;
}

function hintIn({ key, deleted, value }: Remnant): RepairHint | undefined {
  if (deleted) return undefined;
  const [repository = '', second = '', third = ''] = partsOfKey(key);
  switch (kindOf(key)) {
    case 't':
      return isRepository(repository) && isTag(second) && typeof value === 'string' && isDigest(value)
        ? { repository, tag: second, digest: value }
        : undefined;
    case 'm':
    case 'u':
      return isRepository(repository) && isDigest(second) ? { repository, digest: second } : undefined;
    case 'f':
      return isRepository(repository) && isDigest(third) ? { repository, digest: third } : undefined;
    case 'e': {
      const hint = eventIn(value);
      return hint?.gone ? undefined : hint;
    }
    default:
      return undefined;
  }
}

/** `<repository>!<tag or digest>` that an entry is about. */
function nameIn({ key, value }: Remnant): string | undefined {
  const kind = kindOf(key);
  if (kind === 'e') {
    const hint = eventIn(value);
    return hint && `${hint.repository}!${hint.tag ?? hint.digest}`;
  }
  if (kind === 'j') return Array.isArray(value) ? `${value[1]}!${value[2]}` : undefined;
  if (!NAMING.has(kind)) return undefined;
  const [repository = '', second = '', third = ''] = partsOfKey(key);
  return `${repository}!${kind === 'f' ? third : second}`;
}

function eventIn(value: unknown): RepairHint | undefined {
  const { type, data } = (value ?? {}) as Partial<AnnouncementRecord>;
  return typeof type === 'string' ? hintOf(type, data) : undefined;
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

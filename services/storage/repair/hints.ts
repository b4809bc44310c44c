import { isDigest, isRepository, isTag } from '#proto/oci/names.ts';
import { hintOf, type RepairHint } from '#proto/volume/repair-request.ts';
import { kinds, prefix } from '../metadata/keys.ts';
import type { OutboxRecord } from '../metadata/records.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';
import { kindOfKey, partsOfKey } from './record-rules.ts';
import type { Remnant } from './remnants.ts';

/** Max digests remembered per tag. */
const MAX_MOVES = 100;

/** The net effect of hints: manifests that were not deleted, and the digests that each tag pointed to, in order. */
export type Hints = {
  manifests: { repository: string; digest: string }[];
  /** By `<repository>!<tag>`. */
  tags: Map<string, string[]>;
};

/** Applies hints in order. Pure. */
export function effective(hints: RepairHint[]): Hints {
  const manifests = new Map<string, { repository: string; digest: string }>();
  const tags = new Map<string, string[]>();
  for (const { repository, digest, tag, deleted } of hints) {
    const manifest = `${repository}!${digest}`;
    if (tag === undefined && deleted) manifests.delete(manifest);
    else if (!deleted) manifests.set(manifest, { repository, digest });
    if (tag === undefined) continue;
    const name = `${repository}!${tag}`;
    if (deleted) tags.delete(name);
    else tags.set(name, [...(tags.get(name) ?? []), digest].slice(-MAX_MOVES));
  }
  return { manifests: [...manifests.values()], tags };
}

/** `serial`: number of the record in the outbox. Records are numbered in the order of the changes. */
export type OutboxHint = { serial: number; hint: RepairHint };

/** Hints from the outbox: changes whose events are not known to be in a stream. */
export async function outboxHints(records: RebuiltRecords): Promise<OutboxHint[]> {
  const hints: OutboxHint[] = [];
  for await (const [serial, { type, data }] of records.entries<OutboxRecord>(prefix(kinds.outbox))) {
    const hint = hintOf(type, data);
    if (hint) hints.push({ serial: Number(serial), hint });
  }
  return hints;
}

/**
 * All hints in the order in which they became true, as far as it is known. The outbox is newer than all events, and so
 * are damaged bytes with a later record of the outbox than its oldest one. Pure.
 * @param damaged hints from damaged bytes
 * @param outbox hints from the outbox, oldest first
 */
export function inOrder(damaged: RemnantHints[], events: RepairHint[], outbox: OutboxHint[]): RepairHint[] {
  const oldest = outbox[0]?.serial ?? Number.POSITIVE_INFINITY;
  const isNewer = ({ serial = 0 }: RemnantHints) => serial > oldest;
  const newer = [
    ...damaged.filter(isNewer).map(({ serial = 0, hints }) => ({ serial, hints })),
    ...outbox.map(({ serial, hint }) => ({ serial, hints: [hint] })),
  ].sort((a, b) => a.serial - b.serial);
  const older = damaged.filter((range) => !isNewer(range));
  return [...older.flatMap(({ hints }) => hints), ...events, ...newer.flatMap(({ hints }) => hints)];
}

/** Hints from one range of damaged bytes. */
export type RemnantHints = {
  hints: RepairHint[];
  /** Number of the last record of the outbox among the entries. */
  serial: number | undefined;
  /** Entries that may be reported to an operator by name. */
  named: Remnant[];
  /** Some of the names may be damaged: such entries are ignored. */
  unconfirmed: boolean;
};

/** Kinds of records whose repository name can be checked against other records of the same batch. */
const NAMING: ReadonlySet<string> = new Set([
  kinds.tag,
  kinds.base,
  kinds.manifest,
  kinds.unsent,
  kinds.withdrawn,
  kinds.referrer,
]);

/** Kinds of records whose deletion revokes earlier hints from the same bytes. */
const DELETING: ReadonlySet<string> = new Set([kinds.tag, kinds.manifest]);

/**
 * Hints from damaged bytes. A name is trusted if two entries have it: the record itself, and the event or the journal
 * entry written with it. The damage may be in either. Pure.
 * @param hasContent whether content of this digest exists
 */
export function hintsIn(remnants: Remnant[], hasContent: (digest: string) => boolean): RemnantHints {
  const mentions = new Map<string, number>();
  for (const remnant of remnants) {
    const name = nameIn(remnant);
    if (name) mentions.set(name, (mentions.get(name) ?? 0) + 1);
  }
  const isConfirmed = (remnant: Remnant) => (mentions.get(nameIn(remnant) ?? '') ?? 0) > 1;
  const isNaming = ({ key }: Remnant) => NAMING.has(kindOfKey(key));
  const hints = new Map<string, RepairHint>();
  for (const remnant of remnants) {
    if (!isConfirmed(remnant)) continue;
    const name = nameIn(remnant) as string;
    if (remnant.deleted && DELETING.has(kindOfKey(remnant.key))) hints.delete(name);
    const hint = hintIn(remnant);
    if (!hint) continue;
    const previous = hints.get(name);
    // The last move counts. If a record and its event have different digests, one of them is damaged.
    if (!previous || hasContent(hint.digest) || !hasContent(previous.digest)) hints.set(name, hint);
  }
  return {
    hints: [...hints.values()],
    serial: lastSerial(remnants),
    named: remnants.filter((remnant) => !isNaming(remnant) || isConfirmed(remnant)),
    unconfirmed: remnants.some((remnant) => nameIn(remnant) !== undefined && !isConfirmed(remnant)),
  };
}

function lastSerial(remnants: Remnant[]): number | undefined {
  let last: number | undefined;
  for (const { key } of remnants) {
    const serial = kindOfKey(key) === kinds.outbox ? Number(partsOfKey(key)[0]) : Number.NaN;
    if (serial > (last ?? -1)) last = serial;
  }
  return last;
}

function hintIn({ key, deleted, value }: Remnant): RepairHint | undefined {
  if (deleted) return undefined;
  const [repository = '', second = '', third = ''] = partsOfKey(key);
  switch (kindOfKey(key)) {
    case kinds.tag:
      return isRepository(repository) && isTag(second) && typeof value === 'string' && isDigest(value)
        ? { repository, tag: second, digest: value }
        : undefined;
    case kinds.manifest:
    case kinds.unsent:
      return isRepository(repository) && isDigest(second) ? { repository, digest: second } : undefined;
    case kinds.referrer:
      return isRepository(repository) && isDigest(third) ? { repository, digest: third } : undefined;
    case kinds.outbox: {
      const hint = eventIn(value);
      return hint?.deleted ? undefined : hint;
    }
    default:
      return undefined;
  }
}

/** `<repository>!<tag or digest>` of an entry. */
function nameIn({ key, value }: Remnant): string | undefined {
  const kind = kindOfKey(key);
  if (kind === kinds.outbox) {
    const hint = eventIn(value);
    return hint && `${hint.repository}!${hint.tag ?? hint.digest}`;
  }
  if (kind === kinds.journalEntry) return Array.isArray(value) ? `${value[1]}!${value[2]}` : undefined;
  if (!NAMING.has(kind)) return undefined;
  const [repository = '', second = '', third = ''] = partsOfKey(key);
  return `${repository}!${kind === kinds.referrer ? third : second}`;
}

function eventIn(value: unknown): RepairHint | undefined {
  const { type, data } = (value ?? {}) as Partial<OutboxRecord>;
  return typeof type === 'string' ? hintOf(type, data) : undefined;
}

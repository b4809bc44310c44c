import type { Digest } from '../oci/names.ts';
import { type PlannedAction, type PlanRules, planTag } from './plan-tag.ts';

/**
 * Versions of tags between two layers that exchange archives in both directions. Pure.
 *
 * Archives are lost, doubled, and imported late, so the last agreed content of a tag is not known: a base would take an
 * archive that one side made before it had seen the other's for a change. Each side numbers its archives. A tag has a
 * version of two numbers: the archive of each side with which the last change by that side leaves. A side records the
 * versions of all tags that it exchanges, and sends them with each archive.
 *
 * A deleted tag keeps its record, without a digest, until the other side has it as well.
 */

/** Numbers of archives; 0 for a side that has never changed the tag. */
export type TagVersion = { mine: number; theirs: number };

/** What a side records of a tag. */
export type TagRecord = {
  /** `undefined`: deleted. */
  digest: Digest | undefined;
  version: TagVersion;
};

export type VersionRelation = 'equal' | 'newer' | 'older' | 'concurrent';

/**
 * Which side of the exchange this layer is. Only the child resolves conflicts: the parent waits for its resolution.
 */
export type ExchangeSide = 'child' | 'parent';

/** `mode`: of the child. What a ReadOnly one sends changes nothing. */
export type ImportRules = Pick<PlanRules, 'mode' | 'conflict'> & {
  side: ExchangeSide;
  /** Number of the next archive of this side. */
  archive: number;
};

export type TagImport = {
  /** `undefined`: the tag stays as it is. */
  action: PlannedAction | undefined;
  /** The record afterwards; `undefined`: none. */
  record: TagRecord | undefined;
};

const NEVER: TagVersion = { mine: 0, theirs: 0 };

/**
 * The record of a tag after a change here, or the same one without a change.
 * @param recorded `undefined`: never exchanged
 * @param digest what the tag points to; `undefined`: it does not exist
 * @param archive number of the next archive of this side
 */
export function stampTag(
  recorded: TagRecord | undefined,
  digest: Digest | undefined,
  archive: number,
): TagRecord | undefined {
  if (recorded?.digest === digest) return recorded;
  return { digest, version: { mine: archive, theirs: recorded?.version.theirs ?? 0 } };
}

/** The version as the other side sees it. */
export const mirrored = ({ mine, theirs }: TagVersion): TagVersion => ({ mine: theirs, theirs: mine });

/**
 * The version with only the numbers that count. A layer that was restored, or is new, numbers its archives from the
 * beginning, in an epoch of its own: numbers of another epoch count as 0, so that nothing looks like an earlier state
 * of something else.
 */
export const inEpochs = (version: TagVersion, current: { mine: boolean; theirs: boolean }): TagVersion => ({
  mine: current.mine ? version.mine : 0,
  theirs: current.theirs ? version.theirs : 0,
});

/**
 * Whether the record of a deleted tag is not needed any more.
 * @param acknowledged number of the last archive of this side that the other one had imported
 * @param received the other side's record in its last archive; `undefined`: not listed
 */
export const mayForget = (
  record: TagRecord,
  acknowledged: number,
  received: TagRecord | undefined,
): boolean =>
  record.digest === undefined && record.version.mine <= acknowledged && received?.digest === undefined;

/**
 * The record of a tag once the other side has begun another epoch: it may have lost anything that it knew, so what is
 * here counts as changed here. Then it comes back there, and an earlier state that comes from there is a conflict.
 */
export const inNewEpoch = ({ digest }: TagRecord, archive: number): TagRecord => ({
  digest,
  version: { mine: archive, theirs: 0 },
});

/** How `version` relates to `other`; both of the same side. */
export function relationOf(version: TagVersion, other: TagVersion): VersionRelation {
  const isAhead = version.mine > other.mine || version.theirs > other.theirs;
  const isBehind = version.mine < other.mine || version.theirs < other.theirs;
  if (isAhead && isBehind) return 'concurrent';
  if (isAhead) return 'newer';
  return isBehind ? 'older' : 'equal';
}

const merged = (version: TagVersion, other: TagVersion): TagVersion => ({
  mine: Math.max(version.mine, other.mine),
  theirs: Math.max(version.theirs, other.theirs),
});

/**
 * What the import of an archive does to a tag.
 * @param recorded this side's record, stamped just before
 * @param received the other side's record, its version mirrored
 */
export function planTagImport(
  recorded: TagRecord | undefined,
  received: TagRecord,
  rules: ImportRules,
): TagImport {
  if (rules.side === 'parent' && rules.mode === 'ReadOnly') return { action: undefined, record: recorded };
  const local: TagRecord = recorded ?? { digest: undefined, version: NEVER };
  const relation = relationOf(received.version, local.version);
  const record = { digest: received.digest, version: merged(local.version, received.version) };
  if (local.digest === received.digest) {
    // A deletion of what was never here needs no record: the other side keeps its own until it has seen this.
    return { action: undefined, record: recorded ? record : received.digest ? record : undefined };
  }
  if (relation === 'older') return planOlder(local, received, rules);
  if (relation === 'newer') {
    return {
      action: planTag({ base: local.digest, layer: local.digest, parent: received.digest }, rules),
      record,
    };
  }
  // Equal versions of different content come from a side that lost its records: nothing was agreed.
  if (rules.side === 'parent') return { action: undefined, record: local };
  return planConflict(local, received, rules);
}

/** The other side did not know of the last change here. A ReadOnly layer takes back what its parent has not changed. */
function planOlder(local: TagRecord, received: TagRecord, rules: ImportRules): TagImport {
  if (rules.side === 'parent' || rules.mode === 'ReadWrite') return { action: undefined, record: local };
  return planConflict(local, received, rules);
}

function planConflict(local: TagRecord, received: TagRecord, rules: ImportRules): TagImport {
  const action = planTag({ base: undefined, layer: local.digest, parent: received.digest }, rules);
  const digest = action === undefined ? local.digest : action.digest;
  const version = merged(local.version, received.version);
  // The other side has to know that this content has won.
  const mine = digest === received.digest || rules.mode === 'ReadOnly' ? version.mine : rules.archive;
  return { action, record: { digest, version: { ...version, mine } } };
}

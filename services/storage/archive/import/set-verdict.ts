import type { PeerRecord } from '../../metadata/records.ts';
import type { FoundSet } from './found-sets.ts';

export type SetVerdict =
  | { outcome: 'new' | 'known'; warnings: string[] }
  | { outcome: 'refused'; problem: string; warnings: string[] };

/**
 * Whether a set follows the last one that was imported from its sender. Pure.
 * @param newSender the operator says that the sender was replaced or restored
 */
export function verdictOn(
  { list, digest, name, signed }: FoundSet,
  peer: PeerRecord,
  newSender: boolean,
): SetVerdict {
  const { imported: last } = peer;
  const { sender, number, target } = list;
  const warnings = signed
    ? []
    : [`${name}: no key is configured, so it is not verified who made the set: name one with --key`];
  const refused = (problem: string): SetVerdict => ({ outcome: 'refused', problem, warnings });
  if (!last) return { outcome: 'new', warnings };
  if (sender.epoch === last.epoch) {
    const isNext = number === last.number + 1;
    if (isNext && list.previous !== null && list.previous !== last.list) {
      const other = `${name}: it does not follow the set ${last.number} that was imported: ${sender.layer} was restored from an older copy`;
      return { outcome: 'new', warnings: [...warnings, other] };
    }
    if (number > last.number) return { outcome: 'new', warnings };
    if (number < last.number) {
      const older = `${name}: set ${number} is older than set ${last.number}, which was imported already`;
      return { outcome: 'known', warnings: [...warnings, older] };
    }
    if (digest === last.list) {
      return { outcome: 'known', warnings: [...warnings, `${name}: set ${number} was imported already`] };
    }
    return refused(
      `${name}: another set ${number} of ${sender.layer} was imported: the sender was restored from an older copy. Run "terrace export forget ${target.name}" there, and export again`,
    );
  }
  if (last.epochs.includes(sender.epoch) || sender.since < last.since) {
    return refused(
      `${name}: it is from before ${sender.layer} was restored or replaced, and a later set was imported: delete it`,
    );
  }
  if (!newSender && (sender.instance !== last.instance || target.name !== last.target)) {
    const how =
      sender.instance === last.instance
        ? `it is for ${target.name}, earlier sets were for ${last.target}`
        : `it is from another data volume than earlier sets of ${sender.layer}`;
    return refused(`${name}: ${how}: if ${sender.layer} was replaced, import it with --new-sender`);
  }
  return {
    outcome: 'new',
    warnings: [
      ...warnings,
      `${name}: ${sender.layer} was restored, moved or repaired: tags that both sides have changed since become conflicts`,
    ],
  };
}

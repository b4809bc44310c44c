import { median } from '../measure.ts';
import { kinds } from './kinds/kinds.ts';
import { bytesOf, changedLayers, type Pair } from './pairs.ts';
import type { Measured } from './peers/peer.ts';

/** What each peer brought over the link for a pair, by rounds; none of a peer that does not take it or has failed. */
export type Update = { pair: Pair; rounds: Record<string, Measured[]> };

/** Of the peers, by name, that bring the same update with deltas and without: their times are compared. */
const COMPARED = { by: 'auto', to: 'plain' };

/** Pairs of this kind are so much larger than all others that they are also left out of the sums. */
const LARGE_KIND = 'model';
/** Goals of a share: of all pairs together, of a program, of any pair. */
const MAX_SHARE = { all: 0.1, binary: 0.25, any: 1.01 };

const isBinary = ({ kind }: Pair) => kinds.some(({ name, isBinary = false }) => name === kind && isBinary);
const nameOf = ({ kind, builder }: Pair) => `${kind}/${builder}`;
const changedBytes = (pair: Pair) => bytesOf(changedLayers(pair));

/** The median of the rounds. @returns undefined if there is none */
export function measuredOf({ rounds }: Update, peer: string): Measured | undefined {
  const own = rounds[peer] ?? [];
  if (own.length === 0) return undefined;
  const middle = (field: keyof Measured) => median(own.map((round) => round[field]));
  return { bytes: middle('bytes'), seconds: middle('seconds') };
}

/** Bytes over the link relative to the compressed bytes of the layers that changed: 1 is a plain transfer. */
export function shareOf(update: Update, peer: string): number | undefined {
  const measured = measuredOf(update, peer);
  return measured && measured.bytes / changedBytes(update.pair);
}

type Sums = Measured & { changed: number };

/** Of the pairs that all of the peers have brought. @returns for each peer; undefined if there is no such pair */
function sumsOf(updates: readonly Update[], peers: readonly string[]): Sums[] | undefined {
  const common = updates.filter((update) => peers.every((peer) => measuredOf(update, peer)));
  if (common.length === 0) return undefined;
  return peers.map((peer) => {
    const sum = { changed: 0, bytes: 0, seconds: 0 };
    for (const update of common) {
      const { bytes, seconds } = measuredOf(update, peer) as Measured;
      sum.changed += changedBytes(update.pair);
      sum.bytes += bytes;
      sum.seconds += seconds;
    }
    return sum;
  });
}

/** The share of all pairs together that the peer has brought. @returns undefined if there is none */
export function totalShare(updates: readonly Update[], peer: string): number | undefined {
  const [sum] = sumsOf(updates, [peer]) ?? [];
  return sum && sum.bytes / sum.changed;
}

/** Time with deltas relative to that without, of the pairs brought both ways. @returns undefined if there is none */
export function timeRatio(updates: readonly Update[]): number | undefined {
  const [own, other] = sumsOf(updates, [COMPARED.by, COMPARED.to]) ?? [];
  return own && other && own.seconds / other.seconds;
}

/**
 * Rows of a table: MB that changed, then the share and the seconds of each peer, and the ratio of times where they are
 * compared. The last rows are sums: of each builder, and of all.
 */
export function updateRows(updates: readonly Update[], peers: readonly string[]): string[][] {
  const isCompared = peers.includes(COMPARED.by) && peers.includes(COMPARED.to);
  const row = (of: readonly Update[], kind: string, builder: string) => [
    kind,
    builder,
    (of.reduce((sum, { pair }) => sum + changedBytes(pair), 0) / 1e6).toFixed(2),
    ...peers.flatMap((peer) => {
      const [sum] = sumsOf(of, [peer]) ?? [];
      return sum ? [percent(sum.bytes / sum.changed), sum.seconds.toFixed(1)] : ['', ''];
    }),
    ...(isCompared ? [timeRatio(of)?.toFixed(3) ?? ''] : []),
  ];
  const byBuilder = Map.groupBy(updates, ({ pair }) => pair.builder);
  const builders = [...byBuilder.keys()]
    .filter((builder) => (byBuilder.get(builder)?.length ?? 0) > 1)
    .sort();
  const others = updates.filter(({ pair }) => pair.kind !== LARGE_KIND);
  const header = ['kind', 'builder', 'changed MB', ...peers.flatMap((peer) => [peer, 's'])];
  return [
    [...header, ...(isCompared ? [`${COMPARED.by} ÷ ${COMPARED.to}`] : [])],
    ...updates.map((update) => row([update], update.pair.kind, update.pair.builder)),
    ...builders.map((builder) => row(byBuilder.get(builder) ?? [], 'all', builder)),
    ...(others.length < updates.length && others.length > 0
      ? [row(others, `all but ${LARGE_KIND}`, '')]
      : []),
    row(updates, 'all', ''),
  ];
}

/** Sentences on the goals of a peer that sends deltas. */
export function goalsOf(updates: readonly Update[], peer: string): string[] {
  const total = totalShare(updates, peer);
  if (total === undefined) return [];
  const above = (of: readonly Update[], max: number) => {
    const found = of.flatMap((update) => {
      const share = shareOf(update, peer) ?? 0;
      return share > max ? [`${nameOf(update.pair)} ${percent(share)}`] : [];
    });
    return `${found.length} of ${of.length} above ${percent(max)}${found.length > 0 ? `: ${found.join(', ')}` : ''}`;
  };
  const binaries = updates.filter(({ pair }) => isBinary(pair));
  return [
    `${peer}: ${percent(total)} of the changed bytes over all pairs together (goal: ${percent(MAX_SHARE.all)})`,
    `${peer}: programs, ${above(binaries, MAX_SHARE.binary)}`,
    `${peer}: all pairs, ${above(updates, MAX_SHARE.any)}`,
  ];
}

const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

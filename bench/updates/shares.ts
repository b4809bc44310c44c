import { bytesOf, changedLayers, type Pair } from './pairs.ts';
import type { Measured } from './peers/peer.ts';

/** What one peer brought over the link for a pair; without `measured` if it does not take this pair. */
export type Update = { pair: Pair; measured: Record<string, Measured> };

/** Bytes over the link relative to the compressed bytes of the layers that changed: 1 is a plain transfer. */
export const shareOf = (pair: Pair, { bytes }: Measured): number => bytes / bytesOf(changedLayers(pair));

/** The share of all pairs together that the peer took. @returns undefined if there is none */
export function totalShare(updates: readonly Update[], peer: string): number | undefined {
  const taken = updates.flatMap(({ pair, measured }) => {
    const one = measured[peer];
    return one ? [{ bytes: one.bytes, changed: bytesOf(changedLayers(pair)) }] : [];
  });
  const sum = (field: 'bytes' | 'changed') => taken.reduce((total, one) => total + one[field], 0);
  return taken.length > 0 ? sum('bytes') / sum('changed') : undefined;
}

/** Rows of a table: MB that changed, then the share and the seconds of each peer; the last row is of all together. */
export function updateRows(updates: readonly Update[], peers: readonly string[]): string[][] {
  const percent = (share: number | undefined) => (share === undefined ? '' : `${(share * 100).toFixed(1)} %`);
  const mb = (bytes: number) => (bytes / 1e6).toFixed(2);
  const rows = updates.map(({ pair, measured }) => [
    pair.kind,
    pair.builder,
    mb(bytesOf(changedLayers(pair))),
    ...peers.flatMap((peer) => {
      const one = measured[peer];
      return one ? [percent(shareOf(pair, one)), one.seconds.toFixed(1)] : ['', ''];
    }),
  ]);
  const totals = peers.flatMap((peer) => {
    const taken = updates.flatMap(({ measured }) => measured[peer] ?? []);
    const seconds = taken.reduce((total, one) => total + one.seconds, 0);
    return [percent(totalShare(updates, peer)), taken.length > 0 ? seconds.toFixed(1) : ''];
  });
  const changed = updates.reduce((total, { pair }) => total + bytesOf(changedLayers(pair)), 0);
  const header = ['kind', 'builder', 'changed MB', ...peers.flatMap((peer) => [peer, 's'])];
  return [header, ...rows, ['all', '', mb(changed), ...totals]];
}

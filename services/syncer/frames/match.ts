import type { Segments } from './segments.ts';

/** Bytes of a layer that are here, in another one. Offsets and length in bytes. */
export type Copy = { from: number; at: number; length: number };

/**
 * Max share of equal segments with another length, from which on the two layers were made by different encoders: then
 * those of equal length need not be equal either.
 */
const MAX_DIFFERING_SHARE = 0.01;

/**
 * Segments of `wanted` that `base` has, joined where they follow each other in both. Pure.
 * @returns undefined if another encoder made the base
 */
export function matchSegments(wanted: Segments, base: Segments): Copy[] | undefined {
  const known = new Map(base.keys.map((key, index) => [key, index]));
  const copies: Copy[] = [];
  let equal = 0;
  let differing = 0;
  /** The segment of the base after the last one that was found: of equal ones, the next in the file is preferred. */
  let next = 0;
  for (const [index, key] of wanted.keys.entries()) {
    const other = base.keys[next] === key ? next : known.get(key);
    if (other === undefined) continue;
    next = other + 1;
    const length = lengthOf(wanted, index);
    equal += 1;
    if (lengthOf(base, other) !== length) {
      differing += 1;
      continue;
    }
    const [at, from] = [wanted.starts[index] as number, base.starts[other] as number];
    const last = copies.at(-1);
    if (last && last.at + last.length === at && last.from + last.length === from) last.length += length;
    else copies.push({ from, at, length });
  }
  return differing > equal * MAX_DIFFERING_SHARE ? undefined : copies;
}

const lengthOf = ({ starts, end }: Segments, index: number): number =>
  (starts[index + 1] ?? end) - (starts[index] as number);

import { Fault } from '../contract/fault.ts';
import { MAX_SLICES } from './reed-solomon.ts';

/** How the parts of a set are cut into slices for parity. Pure. */

/** About as many slices have all parts together: more of them are lost in smaller pieces, and take longer. */
const WANTED_SLICES = 60;
/** Slices are a multiple of this, in bytes. */
const SLICE_UNIT = 4_096;

/** A slice of a part. The last one of a part is shorter; its rest counts as zeros. */
export type Slice = { part: number; offset: number; size: number };

export type SlicePlan = { sliceBytes: number; slices: Slice[]; parity: number };

/**
 * @param sizes of the parts
 * @param percent parity slices by 100 data slices; one at least
 * @throws Fault `too-large` if there are too many parts
 */
export function planSlices(sizes: readonly number[], percent: number): SlicePlan {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const largest = sizes.reduce((max, size) => Math.max(max, size), SLICE_UNIT);
  let sliceBytes = roundUp(total / WANTED_SLICES);
  for (;;) {
    const slices = slicesOf(sizes, sliceBytes);
    const parity = Math.max(1, Math.ceil((slices.length * percent) / 100));
    if (slices.length + parity <= MAX_SLICES) return { sliceBytes, slices, parity };
    if (sliceBytes >= largest) break;
    sliceBytes = roundUp(sliceBytes * 1.25);
  }
  throw new Fault(
    'too-large',
    `parity is possible for about ${Math.floor(MAX_SLICES / (1 + percent / 100))} parts, the set has ${sizes.length}: use a larger --max-size, or export without --parity`,
  );
}

/** The slices of all parts, in order. */
export function slicesOf(sizes: readonly number[], sliceBytes: number): Slice[] {
  const slices: Slice[] = [];
  for (const [part, size] of sizes.entries()) {
    for (let offset = 0; offset < size && slices.length <= MAX_SLICES; offset += sliceBytes) {
      slices.push({ part, offset, size: Math.min(sliceBytes, size - offset) });
    }
  }
  return slices;
}

const roundUp = (bytes: number): number => Math.max(1, Math.ceil(bytes / SLICE_UNIT)) * SLICE_UNIT;

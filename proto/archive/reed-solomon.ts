/**
 * Reed-Solomon code over slices of equal size: any lost slices can be computed again from as many parity slices. Bytes
 * are elements of GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d). Parity slice j is the sum of all data
 * slices i, each multiplied with 1 / (x_j + y_i), where y_i = i, and x_j is the number of data slices plus j. This is a
 * Cauchy matrix, of which every square part can be inverted. Pure.
 */

/** Max data and parity slices together. */
export const MAX_SLICES = 255;

const POLYNOMIAL = 0x11d;
const powers = new Uint8Array(512);
const logarithms = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power += 1) {
  powers[power] = value;
  powers[power + 255] = value;
  logarithms[value] = power;
  value = value & 0x80 ? (value << 1) ^ POLYNOMIAL : value << 1;
}

export const multiply = (a: number, b: number): number =>
  a === 0 || b === 0 ? 0 : at(powers, at(logarithms, a) + at(logarithms, b));

/** @param a not 0 */
export const inverse = (a: number): number => at(powers, 255 - at(logarithms, a));

/** Factors by which the data slices count in a parity slice. */
export const parityRow = (dataSlices: number, parity: number): number[] =>
  Array.from({ length: dataSlices }, (_, index) => inverse((dataSlices + parity) ^ index));

/** How lost data slices are computed: each is the sum of these slices, multiplied with these factors. */
export type Recipe = { data: [slice: number, factor: number][]; parity: [slice: number, factor: number][] };

/**
 * @param lost data slices, at most as many as `parity` has
 * @param parity parity slices that are there
 * @returns a recipe for each lost slice; undefined if there are too few parity slices
 */
export function recipesFor(
  dataSlices: number,
  lost: readonly number[],
  parity: readonly number[],
): Map<number, Recipe> | undefined {
  if (lost.length > parity.length) return undefined;
  const used = parity.slice(0, lost.length);
  const rows = used.map((index) => parityRow(dataSlices, index));
  const inverted = invert(rows.map((row) => lost.map((slice) => row[slice] as number)));
  const isLost = new Set(lost);
  return new Map(
    lost.map((slice, position) => {
      const factors = inverted[position] as number[];
      const data: Recipe['data'] = [];
      for (let index = 0; index < dataSlices; index += 1) {
        if (isLost.has(index)) continue;
        const factor = rows.reduce(
          (sum, row, at) => sum ^ multiply(factors[at] as number, row[index] as number),
          0,
        );
        if (factor !== 0) data.push([index, factor]);
      }
      const own: Recipe['parity'] = used.map((index, at) => [index, factors[at] as number]);
      return [slice, { data, parity: own.filter(([, factor]) => factor !== 0) }];
    }),
  );
}

/** Products of one factor with each pair of bytes, made when they are first needed. */
const pairTables: (Uint16Array | undefined)[] = [];

/** Adds `factor * source` to `target`. Both have the same, even number of bytes, and begin at an even offset. */
export function addProduct(target: Uint8Array, source: Uint8Array, factor: number): void {
  if (factor === 0) return;
  const table = tableOf(factor);
  const length = source.byteLength >> 1;
  const to = new Uint16Array(target.buffer, target.byteOffset, length);
  const from = new Uint16Array(source.buffer, source.byteOffset, length);
  for (let at = 0; at < length; at += 1) {
    to[at] = (to[at] as number) ^ (table[from[at] as number] as number);
  }
}

function tableOf(factor: number): Uint16Array {
  const known = pairTables[factor];
  if (known) return known;
  const single = Uint8Array.from({ length: 256 }, (_, value) => multiply(factor, value));
  const table = Uint16Array.from(
    { length: 65_536 },
    (_, pair) => (at(single, pair >> 8) << 8) | at(single, pair & 255),
  );
  pairTables[factor] = table;
  return table;
}

/** Inverts a square matrix that can be inverted (Gauss-Jordan). */
function invert(matrix: readonly number[][]): number[][] {
  const size = matrix.length;
  const rows = matrix.map((row, index) => [...row, ...row.map((_, column) => (column === index ? 1 : 0))]);
  for (let column = 0; column < size; column += 1) {
    const pivot = rows.findIndex((row, index) => index >= column && row[column] !== 0);
    [rows[column], rows[pivot]] = [rows[pivot] as number[], rows[column] as number[]];
    const own = rows[column] as number[];
    const scale = inverse(own[column] as number);
    const scaled = own.map((value) => multiply(value, scale));
    rows[column] = scaled;
    for (const [index, row] of rows.entries()) {
      const factor = row[column] as number;
      if (index === column || factor === 0) continue;
      rows[index] = row.map((value, position) => value ^ multiply(factor, scaled[position] as number));
    }
  }
  return rows.map((row) => row.slice(size));
}

const at = (table: Uint8Array, index: number): number => table[index] as number;

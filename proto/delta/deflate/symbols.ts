/** Symbols of deflate: RFC 1951, 3.2.5 and 3.2.7. */

export const END_OF_BLOCK = 256;
export const FIRST_LENGTH = 257;
/** Literals, end of block, lengths; 286 and 287 have fixed codes and never occur. */
export const MAX_LITERAL_SYMBOLS = 286;
export const MAX_DISTANCE_SYMBOLS = 30;
export const MIN_MATCH = 3;
export const MAX_MATCH = 258;
export const WINDOW_BYTES = 32_768;
export const MAX_CODE_BITS = 15;

/** Extra bits of the length symbols from 257 on, and the smallest length of each. */
export const LENGTH_BITS = Uint8Array.of(
  ...[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0],
);
export const LENGTH_BASE = Uint16Array.of(
  ...[
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  ],
  ...[227, 258],
);

/** The same of the distance symbols. */
export const DISTANCE_BITS = Uint8Array.from({ length: MAX_DISTANCE_SYMBOLS }, (_, symbol) =>
  symbol < 4 ? 0 : (symbol >> 1) - 1,
);
export const DISTANCE_BASE = Uint16Array.from({ length: MAX_DISTANCE_SYMBOLS }, (_, symbol) =>
  symbol < 2 ? symbol + 1 : ((2 + (symbol & 1)) << ((symbol >> 1) - 1)) + 1,
);

/** Symbol of each length; 258 has one of its own. */
export const LENGTH_SYMBOL = symbolsByValue(LENGTH_BASE, MAX_MATCH);
/** Symbol of each distance. */
export const DISTANCE_SYMBOL = symbolsByValue(DISTANCE_BASE, WINDOW_BYTES);

/** Order in which a block lists the lengths of the codes for its code lengths. */
export const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

export const FIXED_LITERAL_LENGTHS = Uint8Array.from({ length: 288 }, (_, symbol) =>
  symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8,
);
export const FIXED_DISTANCE_LENGTHS = new Uint8Array(32).fill(5);

function symbolsByValue(bases: Uint16Array, max: number): Uint8Array {
  const symbols = new Uint8Array(max + 1);
  let symbol = 0;
  for (let value = bases[0] as number; value <= max; value += 1) {
    while (symbol + 1 < bases.length && (bases[symbol + 1] as number) <= value) symbol += 1;
    symbols[value] = symbol;
  }
  return symbols;
}

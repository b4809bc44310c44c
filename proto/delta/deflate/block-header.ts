import { codesOf, decodeTable } from './huffman.ts';
import { CODE_LENGTH_ORDER, END_OF_BLOCK, MAX_DISTANCE_SYMBOLS, MAX_LITERAL_SYMBOLS } from './symbols.ts';

export const BlockType = { stored: 0, fixed: 1, dynamic: 2 } as const;

/** Lengths of the codes of a block, by symbol. */
export type CodeLengths = { literals: Uint8Array; distances: Uint8Array };

/** Takes the next `count` bits (0 to 16), the first one lowest. */
export type TakeBits = (count: number) => number;

/** Reads the header of a block with dynamic codes: RFC 1951, 3.2.7. @returns undefined if it is invalid */
export function readDynamicHeader(take: TakeBits): CodeLengths | undefined {
  const literals = take(5) + 257;
  const distances = take(5) + 1;
  const listed = take(4) + 4;
  if (literals > MAX_LITERAL_SYMBOLS || distances > MAX_DISTANCE_SYMBOLS) return undefined;
  const ofLengths = new Uint8Array(CODE_LENGTH_ORDER.length);
  for (const symbol of CODE_LENGTH_ORDER.slice(0, listed)) ofLengths[symbol] = take(3);
  const all = readLengths(take, ofLengths, literals + distances);
  if (!all || all[END_OF_BLOCK] === 0) return undefined;
  return { literals: all.subarray(0, literals), distances: all.subarray(literals) };
}

function readLengths(take: TakeBits, ofLengths: Uint8Array, count: number): Uint8Array | undefined {
  const codes = codesOf(ofLengths);
  if (!codes) return undefined;
  const lengths = new Uint8Array(count);
  for (let at = 0; at < count; ) {
    const symbol = takeSymbol(take, ofLengths, codes);
    if (symbol === undefined) return undefined;
    if (symbol < 16) {
      lengths[at] = symbol;
      at += 1;
      continue;
    }
    if (symbol === 16 && at === 0) return undefined;
    const repeated = symbol === 16 ? (lengths[at - 1] as number) : 0;
    const end = at + (symbol === 16 ? 3 + take(2) : symbol === 17 ? 3 + take(3) : 11 + take(7));
    if (end > count) return undefined;
    lengths.fill(repeated, at, end);
    at = end;
  }
  return lengths;
}

/** Bit by bit: a header has a few hundred of these. */
function takeSymbol(take: TakeBits, lengths: Uint8Array, codes: Uint16Array): number | undefined {
  let code = 0;
  for (let length = 1; length <= 7; length += 1) {
    code |= take(1) << (length - 1);
    for (let symbol = 0; symbol < lengths.length; symbol += 1) {
      if (lengths[symbol] === length && codes[symbol] === code) return symbol;
    }
  }
  return undefined;
}

/** Tables by which the symbols of a block are read. @returns undefined if the lengths are invalid */
export function tablesOf({ literals, distances }: CodeLengths) {
  const [literalTable, distanceTable] = [decodeTable(literals), decodeTable(distances)];
  return literalTable && distanceTable && { literalTable, distanceTable };
}

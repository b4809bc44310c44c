import { isMapping } from '#proto/contract/plain-data.ts';

/** Container create options as edgeAgent reads them: JSON text, cut into pieces that a twin takes. Pure. */

/** Max length of a piece, in characters (edgeAgent's `ChunkedProperty`). */
const MAX_PIECE_LENGTH = 512;
/** Max pieces of the options of one module. */
const MAX_PIECES = 100;

type Settings = Record<string, unknown>;

/** The fields `createOptions`, `createOptions01` … @throws RangeError if they would exceed `MAX_PIECES` */
export function piecesOf(options: object): Record<string, string> {
  // ASCII only: writer and reader may count other characters differently.
  const text = JSON.stringify(options).replace(
    /[\u0080-\uffff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const count = Math.ceil(text.length / MAX_PIECE_LENGTH);
  if (count > MAX_PIECES) throw new RangeError(`createOptions has ${text.length} characters`);
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      fieldOf(index),
      text.slice(index * MAX_PIECE_LENGTH, (index + 1) * MAX_PIECE_LENGTH),
    ]),
  );
}

const fieldOf = (index: number) =>
  index === 0 ? 'createOptions' : `createOptions${String(index).padStart(2, '0')}`;

/** Pieces by their place. edgeAgent ignores the case of their names. */
function piecesIn(settings: Settings): Map<string, unknown> {
  const entries = Object.entries(settings).filter(([key]) => /^createoptions/i.test(key));
  return new Map(entries.map(([key, value]) => [key.replace(/^createoptions/i, 'createOptions'), value]));
}

/** The options of a module; empty if they are not valid. */
export function createOptionsOf(settings: Settings): Settings {
  const pieces = piecesIn(settings);
  const options = parse([...pieces.keys()].sort().map((field) => pieces.get(field)));
  return isMapping(options) ? options : {};
}

/** Complaints about the pieces in the settings of a module. */
export function pieceComplaints(settings: Settings, path: string): string[] {
  const pieces = piecesIn(settings);
  const wanted = [...pieces.keys()].map((_, index) => fieldOf(index));
  const missing = wanted.find((field) => !pieces.has(field));
  if (missing)
    return [`${path}.${missing} is missing: number the pieces createOptions, createOptions01 and so on`];
  if (![...pieces.values()].every((piece) => typeof piece === 'string')) {
    return [`${path}.createOptions is not a string: write its JSON as a string`];
  }
  const long = wanted.find((field) => String(pieces.get(field)).length > MAX_PIECE_LENGTH);
  if (long) return [`${path}.${long} is longer than ${MAX_PIECE_LENGTH} characters: split it into pieces`];
  if (pieces.size > MAX_PIECES)
    return [`${path} has more than ${MAX_PIECES} pieces of createOptions: shorten the options`];
  const options = parse(wanted.map((field) => pieces.get(field)));
  if (options === undefined) return [`${path}.createOptions is not JSON: its pieces must form one JSON text`];
  return isMapping(options) || options === null
    ? []
    : [
        `${path}.createOptions is not an object: write the fields of a container, such as {"HostConfig": {…}}`,
      ];
}

/** No text counts as no options. */
function parse(pieces: unknown[]): unknown {
  try {
    return JSON.parse(pieces.join('').trim() || '{}');
  } catch {
    return undefined;
  }
}

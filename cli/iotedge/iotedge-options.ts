/** Container create options as edgeAgent reads them: JSON text, cut into pieces that a twin takes. Pure. */

/** Max length of a piece, in characters (edgeAgent's `ChunkedProperty`, and the schema of deployment manifests). */
const MAX_PIECE_LENGTH = 512;
/** Max pieces of the options of one module. */
const MAX_PIECES = 100;

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

/** Complaints about the pieces in the settings of a module. */
export function pieceComplaints(settings: Record<string, unknown>, path: string): string[] {
  const fields = Object.keys(settings).filter((key) => key.startsWith('createOptions'));
  const wanted = fields.map((_, index) => fieldOf(index));
  const missing = wanted.find((field) => !fields.includes(field));
  if (missing)
    return [`${path}.${missing} is missing: number the pieces createOptions, createOptions01 and so on`];
  const pieces = wanted.map((field) => settings[field]);
  if (!pieces.every((piece) => typeof piece === 'string')) {
    return [`${path}.createOptions is not a string: write its JSON as a string`];
  }
  const long = wanted.find((_, index) => (pieces[index] as string).length > MAX_PIECE_LENGTH);
  if (long) return [`${path}.${long} is longer than ${MAX_PIECE_LENGTH} characters: split it into pieces`];
  if (fields.length > MAX_PIECES)
    return [`${path} has more than ${MAX_PIECES} pieces of createOptions: shorten the options`];
  try {
    JSON.parse(pieces.join('') || '{}');
    return [];
  } catch {
    return [`${path}.createOptions is not JSON: its pieces must form one JSON text`];
  }
}

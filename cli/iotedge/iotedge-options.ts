/** The options of a container as edgeAgent reads them: JSON as a text, cut into pieces that a twin takes. Pure. */

/** In characters (edgeAgent's `ChunkedProperty`, and the schema of deployment manifests). */
const PIECE = 512;
const MAX_PIECES = 100;

/** The fields `createOptions`, `createOptions01` … @throws RangeError where a hundred of them don't suffice */
export function piecesOf(options: object): Record<string, string> {
  // Beyond ASCII, whoever cuts and who reads may count differently.
  const text = JSON.stringify(options).replace(
    /[\u0080-\uffff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const count = Math.ceil(text.length / PIECE);
  if (count > MAX_PIECES) throw new RangeError(`createOptions has ${text.length} characters`);
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      fieldOf(index),
      text.slice(index * PIECE, (index + 1) * PIECE),
    ]),
  );
}

const fieldOf = (index: number) =>
  index === 0 ? 'createOptions' : `createOptions${String(index).padStart(2, '0')}`;

/** @returns complaints about the pieces among the settings of a module */
export function pieceComplaints(settings: Record<string, unknown>, path: string): string[] {
  const fields = Object.keys(settings).filter((key) => key.startsWith('createOptions'));
  const wanted = fields.map((_, index) => fieldOf(index));
  const missing = wanted.find((field) => !fields.includes(field));
  if (missing) return [`${path}.${missing} is missing: pieces are numbered from createOptions and 01 on`];
  const pieces = wanted.map((field) => settings[field]);
  if (!pieces.every((piece) => typeof piece === 'string')) {
    return [`${path}.createOptions is no text: write the JSON of it as one`];
  }
  const long = wanted.find((_, index) => (pieces[index] as string).length > PIECE);
  if (long) return [`${path}.${long} is longer than ${PIECE} characters: cut it into pieces`];
  if (fields.length > MAX_PIECES) return [`${path} has more than ${MAX_PIECES} pieces of createOptions`];
  try {
    JSON.parse(pieces.join('') || '{}');
    return [];
  } catch {
    return [`${path}.createOptions is not JSON: its pieces, put together, must be`];
  }
}

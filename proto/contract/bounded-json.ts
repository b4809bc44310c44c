import { Fault } from './fault.ts';

/** Limits of JSON from outside. Values take many times the memory of their text, so they are counted before parsing. */
export type JsonLimits = { values: number; depth: number };

const LIMITS: JsonLimits = { values: 1_000_000, depth: 64 };

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** @throws Fault `too-large`; SyntaxError if the text is not JSON in UTF-8 */
export function parseJson(text: Uint8Array, limits: Partial<JsonLimits> = {}): unknown {
  mustFit(text, { ...LIMITS, ...limits });
  return JSON.parse(decoded(text));
}

function decoded(text: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(text);
  } catch (cause) {
    throw new SyntaxError('not UTF-8', { cause });
  }
}

function mustFit(text: Uint8Array, limits: JsonLimits): void {
  let values = 1;
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const byte = text[at];
    if (quoted) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) quoted = false;
    } else if (byte === QUOTE) quoted = true;
    else if (byte === COMMA) values += 1;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      values += 1;
      depth += 1;
      if (depth > limits.depth) throw new Fault('too-large', `JSON is nested more than ${limits.depth} deep`);
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1;
    if (values > limits.values) throw new Fault('too-large', `JSON holds more than ${limits.values} values`);
  }
}

/**
 * Text from clients, from the parent or from layers below must not control a terminal, hide text or forge a line of
 * output. Pure.
 */

/** Control characters (C0, DEL, C1), format characters (bidirectional controls, zero width) and line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

/** Replaces control and format characters with spaces, so that the result is one line that no terminal interprets. */
export const singleLine = (text: string): string => text.replace(UNSAFE, ' ');

/** Applies `singleLine` to every string and field name of a value, for output laid out for a person. */
export function singleLines<T>(value: T): T {
  if (typeof value === 'string') return singleLine(value) as T;
  if (Array.isArray(value)) return value.map(singleLines) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [singleLine(name), singleLines(field)]),
  ) as T;
}

/** Escapes unsafe characters in the strings of JSON text. Its value and its own line breaks stay. */
export const safeJson = (json: string): string =>
  json.replace(UNSAFE, (run) => (/^[\n\r\t]+$/.test(run) ? run : escapeUnits(run)));

function escapeUnits(text: string): string {
  return Array.from({ length: text.length }, (_, index) => {
    const unit = text.charCodeAt(index);
    return unit === 0x0a ? '\n' : `\\u${unit.toString(16).padStart(4, '0')}`;
  }).join('');
}

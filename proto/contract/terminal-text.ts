/**
 * Texts that come from clients, from the parent or from layers below must not control a terminal, hide text or forge a
 * line of output. Pure.
 */

/** Control characters (C0, DEL, C1), format characters (bidirectional controls, zero width) and line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

/** One line, without anything that a terminal would carry out. */
export const singleLine = (text: string): string => text.replace(UNSAFE, ' ');

/** The value with every text in it as a single line: for what is laid out for a person. */
export function singleLines<T>(value: T): T {
  if (typeof value === 'string') return singleLine(value) as T;
  if (Array.isArray(value)) return value.map(singleLines) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [singleLine(name), singleLines(field)]),
  ) as T;
}

/** JSON text with the same value and no unsafe character in its strings; its own line ends stay. */
export const safeJson = (json: string): string =>
  json.replace(UNSAFE, (found) => (/^[\n\r\t]+$/.test(found) ? found : escapeUnits(found)));

function escapeUnits(text: string): string {
  return Array.from({ length: text.length }, (_, index) => {
    const unit = text.charCodeAt(index);
    return unit === 0x0a ? '\n' : `\\u${unit.toString(16).padStart(4, '0')}`;
  }).join('');
}

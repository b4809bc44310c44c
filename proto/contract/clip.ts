/**
 * At most `max` UTF-16 units, with `…` in place of what is cut off. A surrogate without its partner becomes U+FFFD:
 * such text changes its length on the wire.
 */
export function clip(text: string, max: number): string {
  const cut = text.length > max ? `${text.slice(0, Math.max(0, max - 1))}…` : text;
  return cut.toWellFormed();
}

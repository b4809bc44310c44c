/**
 * Truncates text to at most `max` UTF-16 units, including the `…` that marks the cut. A lone surrogate becomes U+FFFD,
 * since it would change the length of the text on the wire.
 */
export function clip(text: string, max: number): string {
  const cut = text.length > max ? `${text.slice(0, Math.max(0, max - 1))}…` : text;
  return cut.toWellFormed();
}

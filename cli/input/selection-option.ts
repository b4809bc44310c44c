import type { Overrides } from '#proto/document/resolve/resolve.ts';

type Selection = NonNullable<Overrides['repositories']>[number];

/**
 * A value of `--repository`: a pattern, or `FROM=AS` for repositories that have another name here. The document's
 * validation checks both.
 */
export function selectionOption(text: string): Selection {
  const at = text.indexOf('=');
  return at < 0 ? text : { from: text.slice(0, at), as: text.slice(at + 1) };
}

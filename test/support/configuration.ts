import type { Configuration } from '#proto/document/configuration.ts';
import { type Overrides, resolveDocument } from '#proto/document/resolve/resolve.ts';

/** The configuration that results from a document with these fields. */
export function configurationWith(fields: Overrides = {}): Configuration {
  const resolved = resolveDocument({ overrides: fields, readable: () => true });
  if ('complaints' in resolved) throw new Error(resolved.complaints.join('; '));
  return resolved.configuration;
}

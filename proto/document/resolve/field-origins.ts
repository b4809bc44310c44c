import { isMapping } from '../../contract/plain-data.ts';
import { type Fields, MERGED_MAPPINGS } from './merge.ts';

/**
 * Where a field of a merged document is from: command-line options, the document, the document below it, or the
 * environment.
 */
export type FieldOrigin = 'overrides' | 'document' | 'lower' | 'defaults';

export type FieldSources = Record<'overrides' | 'document' | 'lower', Fields>;

/**
 * The origin of each field of a merged document, by its path; mappings that are merged field by field have a path for
 * each of these. In the order of precedence of `merge`. Pure.
 */
export function originsOf(merged: Fields, sources: FieldSources): Map<string, FieldOrigin> {
  const origins = new Map<string, FieldOrigin>();
  for (const [name, value] of Object.entries(merged)) {
    if (!isMapping(value) || !MERGED_MAPPINGS.includes(name)) {
      origins.set(
        name,
        originOf(sources, (fields) => fields[name]),
      );
      continue;
    }
    for (const inner of Object.keys(value)) {
      const within = (fields: Fields) => {
        const mapping = fields[name];
        return isMapping(mapping) ? mapping[inner] : undefined;
      };
      origins.set(`${name}.${inner}`, originOf(sources, within));
    }
  }
  return origins;
}

function originOf(sources: FieldSources, read: (fields: Fields) => unknown): FieldOrigin {
  for (const origin of ['overrides', 'document', 'lower'] as const) {
    if (read(sources[origin]) !== undefined) return origin;
  }
  return 'defaults';
}

import { Document } from '#proto/document/document.ts';

/** The JSON Schema of configuration documents, for editors and other tools. */

const DIALECT = 'http://json-schema.org/draft-07/schema#';
/** Annotations of fields that are no words of JSON Schema (proto/document/fields.ts). */
const OWN = new Set(['remedy', 'otherwise', 'atStart']);

/** Draft 7, which editors know best: descriptions and defaults are in it. */
export function documentSchema(): object {
  return { $schema: DIALECT, title: 'Configuration of a Terrace layer', ...(plain(Document) as object) };
}

/** Without own annotations; those of `description` are extended by the remedy and by what else is said of a field. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const { otherwise, atStart, description } = value as Record<string, unknown>;
  const notes = [
    description,
    typeof otherwise === 'string' && `Default: ${otherwise}.`,
    atStart === true && 'Takes effect at the next start.',
  ].filter((note): note is string => typeof note === 'string');
  const entries = Object.entries(value).filter(([key]) => !OWN.has(key) || isProperties(value));
  return {
    ...Object.fromEntries(entries.map(([key, inner]) => [key, plain(inner)])),
    ...(typeof description === 'string' && { description: notes.join(' ') }),
  };
}

/** A mapping of fields, of which one may have the name of an annotation. */
const isProperties = (value: object): boolean => Object.values(value).every((one) => typeof one === 'object');

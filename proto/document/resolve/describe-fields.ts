import { isMapping } from '../../contract/plain-data.ts';
import type { TSchema } from '../../contract/schema.ts';
import { Document } from '../document.ts';
import type { ConfigurationField, FieldSource } from '../field-report.ts';
import type { FieldOrigin } from './field-origins.ts';
import { MERGED_MAPPINGS } from './merge.ts';

/** Max length of a value as JSON, in characters: all of them have to fit into one message of the bus. */
const MAX_VALUE_LENGTH = 16 * 1024;
const CUT = '…';

/**
 * Every field of a document with its value and its source. Nothing of it is secret: of passwords of accounts only their
 * number is shown, and of addresses neither logins nor queries, which may hold keys. Pure.
 *
 * @param isTwin the document is from a module twin, else from a file
 */
export function describeFields(
  document: Document,
  origins: ReadonlyMap<string, FieldOrigin>,
  isTwin: boolean,
): ConfigurationField[] {
  const sources: Record<FieldOrigin, FieldSource> = {
    overrides: 'command line',
    document: isTwin ? 'twin' : 'file',
    lower: 'file',
    defaults: 'environment',
  };
  const properties = Object.entries(Document.properties as Record<string, TSchema>);
  const fieldOf = (path: string, schema: TSchema, value: unknown, atStart: boolean): ConfigurationField => {
    const origin = origins.get(path);
    const shown = value === undefined ? schema.default : shownOf(value);
    return {
      field: path,
      ...(shown !== undefined && { value: JSON.stringify(shown).length > MAX_VALUE_LENGTH ? CUT : shown }),
      source: origin ? sources[origin] : 'default',
      atStart,
    };
  };
  return properties.flatMap(([name, schema]) => {
    const value: unknown = document[name as keyof Document];
    const atStart = schema.atStart === true;
    if (!MERGED_MAPPINGS.includes(name) || !isMapping(value)) return [fieldOf(name, schema, value, atStart)];
    const inner = Object.entries((schema.properties ?? {}) as Record<string, TSchema>);
    return inner
      .filter(([field]) => value[field] !== undefined)
      .map(([field, one]) => fieldOf(`${name}.${field}`, one, value[field], atStart));
  });
}

function shownOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shownOf);
  if (typeof value === 'string') return withoutSecrets(value);
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      if (key !== 'passwords') return [key, shownOf(inner)];
      return [key, Array.isArray(inner) ? inner.map(() => CUT) : CUT];
    }),
  );
}

const withoutSecrets = (text: string): string => {
  if (!/^[a-z]+:\/\//i.test(text)) return text;
  return text.replace(/\/\/[^/@]*@/, `//${CUT}@`).replace(/[?#].*/s, `?${CUT}`);
};

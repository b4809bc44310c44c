import type { TSchema } from '@sinclair/typebox';
import { code } from './markdown.ts';

/** Text for schemas. Pure. */

const TYPES: Record<string, string> = {
  string: 'text',
  integer: 'whole number',
  number: 'number',
  boolean: 'true or false',
  object: 'mapping',
  null: '`null`',
  Uint8Array: 'bytes',
};

/** Max constants of a choice that a type lists. */
const MAX_CONSTANTS = 4;

/** Variants of a union, those of the unions within it included. */
export const variantsOf = ({ anyOf = [] }: TSchema): TSchema[] =>
  (anyOf as TSchema[]).flatMap((one) => (one.anyOf ? variantsOf(one) : [one]));

/** Type as text: `text`, `list of text`, `` `Bearer` or `Basic` ``. */
export function typeOf(schema: TSchema): string {
  if (schema.const !== undefined) return code(String(schema.const));
  if (schema.type === 'array') return `list of ${typeOf(schema.items)}`;
  const variants = variantsOf(schema);
  if (variants.length > MAX_CONSTANTS && variants.every((one) => one.const !== undefined)) {
    return `one of ${variants.length} words`;
  }
  if (variants.length > 0) return orOf([...new Set(variants.map(typeOf))]);
  return TYPES[schema.type as string] ?? 'any';
}

const orOf = (texts: string[]): string =>
  texts.length < 2 ? texts.join() : `${texts.slice(0, -1).join(', ')} or ${texts.at(-1)}`;

/** Limits of a value: `1 to 16`, `max 63 characters`. Empty if there are none of interest. */
export function boundsOf(schema: TSchema): string {
  const { type, minimum, maximum, minLength, maxLength, minItems, maxItems } = schema;
  const variants = variantsOf(schema).map(boundsOf).filter(Boolean);
  if (variants.length > 0) return [...new Set(variants)].join('; ');
  if (type === 'array') return joined(range(minItems, maxItems, 'entries'), boundsOf(schema.items));
  if (type === 'string') return range(minLength, maxLength, 'characters');
  if (type === 'integer') return range(minimum, maximum, '');
  return '';
}

const joined = (...texts: string[]): string => texts.filter(Boolean).join(' of ');

/** A max of 2^53 - 1, or the last valid date, is that of the type. */
function range(min: number | undefined, max: number | undefined, unit: string): string {
  const end = max !== undefined && max < 1e15 ? max : undefined;
  const text =
    end === undefined
      ? min
        ? `min ${min}`
        : ''
      : min === undefined || (min <= 1 && unit !== '')
        ? `max ${end}`
        : `${min} to ${end}`;
  return text && `${text} ${unit}`.trim();
}

const isOptional = (schema: TSchema, name: string): boolean => !(schema.required ?? []).includes(name);

/** All properties, those of an intersection together. */
export function propertiesOf(schema: TSchema): [name: string, schema: TSchema, optional: boolean][] {
  const parts = (schema.allOf ?? [schema]) as TSchema[];
  return parts.flatMap((part) =>
    Object.entries((part.properties ?? {}) as Record<string, TSchema>).map(
      ([name, inner]) => [name, inner, isOptional(part, name)] as [string, TSchema, boolean],
    ),
  );
}

/** Names of the fields, with `?` for optional ones, `[]` for lists, and the fields of mappings down to a depth. */
export function shapeOf(schema: TSchema, depth = 1): string {
  const variants = variantsOf(schema).filter(({ type }) => type === 'object');
  if (variants.length > 0) return variants.map((one) => shapeOf(one, depth)).join(' or ');
  return propertiesOf(schema)
    .map(([name, inner, optional]) => {
      const { list, element } = elementOf(inner);
      const fields = shapeOf(element, depth - 1);
      const within = fields === '' ? '' : depth > 0 ? ` {${fields}}` : ' {…}';
      return `${name}${optional ? '?' : ''}${list ? '[]' : ''}${within}`;
    })
    .join(', ');
}

const elementOf = (schema: TSchema): { list: boolean; element: TSchema } =>
  schema.type === 'array' ? { list: true, element: schema.items } : { list: false, element: schema };

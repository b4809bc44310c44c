import { type TOptional, type TProperties, type TSchema, Type } from '../contract/schema.ts';

/**
 * Annotations of the fields of a configuration document. The schema of a field holds all that is said of it, so that a
 * new field is declared in one place: complaints (`validation/`), defaults (`resolve/`) and the reference
 * (docs/reference/configuration.md) read it there.
 */
export type Annotations = {
  /** What the field is. Sentences, for the reference. */
  description: string;
  /** What a valid value looks like, as the end of a complaint: `write true or false`. */
  remedy: string;
  /** As written in a document. */
  default?: unknown;
  /** The default in words, if other fields decide it. */
  otherwise?: string;
  /** A change takes effect when the processes of the layer are started again. */
  atStart?: boolean;
};
type More = Omit<Annotations, 'description' | 'remedy'>;

/** A field that its mapping must have. */
export const field = <T extends TSchema>(
  schema: T,
  description: string,
  remedy: string,
  more: More = {},
): T => ({
  ...schema,
  description,
  remedy,
  ...more,
});

export const optional = <T extends TSchema>(
  schema: T,
  description: string,
  remedy: string,
  more?: More,
): TOptional<T> => Type.Optional(field(schema, description, remedy, more)) as TOptional<T>;

/** A mapping of these fields, and no others. */
export const mapping = <T extends TProperties>(properties: T, description: string, more?: More) =>
  field(
    Type.Object(properties, { additionalProperties: false }),
    description,
    `write a mapping with the ${listed(Object.keys(properties))}`,
    more,
  );

const listed = (names: string[]): string =>
  names.length === 1 ? `field ${names[0]}` : `fields ${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;

/**
 * Schemas of all fields, by path without the indexes of lists: `repositories.tags.match`. In the order of the schema.
 */
export function fieldsOf(schema: TSchema): Map<string, TSchema> {
  const fields = new Map<string, TSchema>();
  const visit = ({ properties = {}, items, anyOf = [] }: TSchema, owner: string): void => {
    for (const [name, inner] of Object.entries(properties as TProperties)) {
      fields.set(`${owner}${name}`, inner);
      visit(inner, `${owner}${name}.`);
    }
    for (const inner of [...(items ? [items] : []), ...anyOf] as TSchema[]) visit(inner, owner);
  };
  visit(schema, '');
  return fields;
}

/** The value, or the default of its field. */
export const orDefault = <T>(value: T | undefined, schema: TSchema): T => value ?? (schema.default as T);

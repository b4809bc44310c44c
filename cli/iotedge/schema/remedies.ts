import { type TProperties, type TSchema, Type } from '#proto/contract/schema.ts';

/** Annotations of the schemas of this folder: `remedy` of a field, and `names` of the names in a record. */

export const withRemedy = <T extends TSchema>(schema: T, remedy: string): T => ({ ...schema, remedy });

export const oneOf = (...values: string[]) =>
  withRemedy(Type.Union(values.map((value) => Type.Literal(value))), `write ${values.join(' or ')}`);

export const text = (remedy: string, pattern?: string) =>
  withRemedy(Type.String(pattern === undefined ? {} : { pattern }), remedy);

export const integer = (min: number, max: number) =>
  withRemedy(Type.Integer({ minimum: min, maximum: max }), `write a whole number from ${min} to ${max}`);

/** Fields of a mapping; `open`: other fields are ignored. */
export const fields = <T extends TProperties>(properties: T, { open = false } = {}) =>
  withRemedy(
    Type.Object(properties, { additionalProperties: open }),
    `write an object with the fields ${Object.keys(properties).join(', ')}`,
  );

/** A mapping of names to values. */
export const named = <T extends TSchema>(pattern: string, value: T, names: string, remedy: string) => ({
  ...withRemedy(Type.Record(Type.String({ pattern }), value, { additionalProperties: false }), remedy),
  names,
});

export const list = <T extends TSchema>(items: T, remedy: string) => withRemedy(Type.Array(items), remedy);

/** The field `schemaVersion` of a schema. */
export const schemaVersion = (version: string) =>
  text(`write "${version}"`, `^${version.replace('.', '\\.')}$`);

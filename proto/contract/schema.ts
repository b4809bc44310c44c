import type { JavaScriptTypeBuilder } from '@sinclair/typebox';

export type { Static, TObject, TOptional, TProperties, TSchema } from '@sinclair/typebox';

/**
 * Builds schemas as TypeBox does: same values, same static types. Only the types are TypeBox's: its modules would take
 * a third of the time in which a process starts, and of its memory. schema-check.ts checks values; schema-errors.ts
 * loads TypeBox once a value is invalid, to name what is wrong.
 */
type Builder = Pick<
  JavaScriptTypeBuilder,
  | 'Array'
  | 'Boolean'
  | 'Integer'
  | 'Literal'
  | 'Null'
  | 'Number'
  | 'Object'
  | 'Optional'
  | 'Record'
  | 'String'
  | 'Uint8Array'
  | 'Union'
  | 'Unknown'
>;

export const Kind: typeof import('@sinclair/typebox').Kind = Symbol.for('TypeBox.Kind') as never;
export const OptionalKind: typeof import('@sinclair/typebox').OptionalKind = Symbol.for(
  'TypeBox.Optional',
) as never;

type Options = Record<string, unknown>;
type Schema = Record<string | symbol, unknown>;

const schema = (kind: string, fields: Options, options?: Options): Schema => ({
  ...options,
  [Kind]: kind,
  ...fields,
});

/** A schema of one JSON type, with nothing in it but its options. */
const simple = (kind: string, type: string) => (options?: Options) => schema(kind, { type }, options);

const builder = {
  Array: (items: Schema, options?: Options) => schema('Array', { type: 'array', items }, options),
  Boolean: simple('Boolean', 'boolean'),
  Integer: simple('Integer', 'integer'),
  Literal: (value: unknown, options?: Options) =>
    schema('Literal', { const: value, type: typeof value }, options),
  Null: simple('Null', 'null'),
  Number: simple('Number', 'number'),
  Object(properties: Record<string, Schema>, options?: Options) {
    const required = Object.keys(properties).filter((key) => properties[key]?.[OptionalKind] === undefined);
    const fields = required.length > 0 ? { required, properties } : { properties };
    return schema('Object', { type: 'object', ...fields }, options);
  },
  Optional: (one: Schema) => ({ ...one, [OptionalKind]: 'Optional' }),
  /** Keys are text; without a pattern, any. */
  Record: (key: { pattern?: string }, value: Schema, options?: Options) =>
    schema('Record', { type: 'object', patternProperties: { [key.pattern ?? '^(.*)$']: value } }, options),
  String: simple('String', 'string'),
  Uint8Array: simple('Uint8Array', 'Uint8Array'),
  Union: (anyOf: Schema[], options?: Options) =>
    anyOf.length === 1 ? { ...options, ...anyOf[0] } : schema('Union', { anyOf }, options),
  Unknown: (options?: Options) => schema('Unknown', {}, options),
};

export const Type = builder as unknown as Builder;

import { Kind, type Static, type TSchema } from './schema.ts';

/** Whether values match schemas. Each schema is translated into one function at its first use. */

type Check = (value: unknown) => boolean;
type Keywords = TSchema & Record<string, unknown>;

const checks = new WeakMap<TSchema, Check>();

/** @throws Error if the schema has a kind or a keyword that is not supported */
export function matches<T extends TSchema>(schema: T, value: unknown): value is Static<T> {
  return checkOf(schema)(value);
}

function checkOf(schema: TSchema): Check {
  let check = checks.get(schema);
  if (!check) {
    const translate = kinds[schema[Kind] as keyof typeof kinds];
    if (!translate) throw new Error(`schemas of kind ${String(schema[Kind])} are not supported`);
    const unknown = Object.keys(schema).find((key) => UNSUPPORTED.has(key));
    if (unknown) throw new Error(`the keyword ${unknown} is not supported in schemas`);
    check = translate(schema as Keywords);
    checks.set(schema, check);
  }
  return check;
}

/** Keywords of JSON Schema that would be ignored. */
const UNSUPPORTED = new Set(
  `allOf contains dependentRequired exclusiveMaximum exclusiveMinimum format if maxContains minContains multipleOf not
   oneOf prefixItems propertyNames unevaluatedItems unevaluatedProperties uniqueItems`.split(/\s+/),
);

const kinds = {
  Array: arrayCheck,
  Boolean: (): Check => (value) => typeof value === 'boolean',
  Integer: (schema: Keywords): Check => {
    const isWithin = bounds(schema.minimum, schema.maximum);
    return (value) => Number.isInteger(value) && isWithin(value as number);
  },
  Literal: ({ const: expected }: Keywords): Check => {
    return (value) => value === expected;
  },
  Null: (): Check => (value) => value === null,
  Number: (schema: Keywords): Check => {
    const isWithin = bounds(schema.minimum, schema.maximum);
    return (value) => Number.isFinite(value) && isWithin(value as number);
  },
  Object: objectCheck,
  Record: recordCheck,
  String: stringCheck,
  Uint8Array: (schema: Keywords): Check => {
    const isWithin = bounds(schema.minByteLength, schema.maxByteLength);
    return (value) => value instanceof Uint8Array && isWithin(value.length);
  },
  Union: ({ anyOf }: Keywords): Check => {
    const variants = (anyOf as TSchema[]).map(checkOf);
    return (value) => variants.some((check) => check(value));
  },
  Unknown: (): Check => () => true,
};

function bounds(min: unknown, max: unknown): (size: number) => boolean {
  const [from, to] = [Number(min ?? Number.NEGATIVE_INFINITY), Number(max ?? Number.POSITIVE_INFINITY)];
  return (size) => size >= from && size <= to;
}

function stringCheck({ minLength, maxLength, pattern }: Keywords): Check {
  const isWithin = bounds(minLength, maxLength);
  if (pattern === undefined) return (value) => typeof value === 'string' && isWithin(value.length);
  const expression = new RegExp(pattern as string);
  return (value) => typeof value === 'string' && isWithin(value.length) && expression.test(value);
}

function arrayCheck({ items, minItems, maxItems }: Keywords): Check {
  const isWithin = bounds(minItems, maxItems);
  const isItem = checkOf(items as TSchema);
  return (value) => {
    if (!Array.isArray(value) || !isWithin(value.length)) return false;
    for (const item of value) if (!isItem(item)) return false;
    return true;
  };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function objectCheck(schema: Keywords): Check {
  const properties = Object.entries(schema.properties as Record<string, TSchema>);
  const required = new Set(schema.required as string[] | undefined);
  const fields = properties.map(([key, property]) => ({
    key,
    check: checkOf(property),
    isRequired: required.has(key),
    // The only schema that a missing field would match.
    mustExist: required.has(key) && property[Kind] === 'Unknown',
  }));
  const known = new Set(properties.map(([key]) => key));
  const { additionalProperties: others } = schema;
  const isOther = typeof others === 'object' ? checkOf(others as TSchema) : () => false;
  const hasSize = sizeCheck(schema);
  return (value) => {
    if (!isObject(value) || !hasSize(value)) return false;
    for (const { key, check, isRequired, mustExist } of fields) {
      const field = value[key];
      if (field === undefined && !isRequired) continue;
      if (!check(field) || (mustExist && !(key in value))) return false;
    }
    if (others === undefined || others === true) return true;
    return Object.getOwnPropertyNames(value).every((key) => known.has(key) || isOther(value[key]));
  };
}

function recordCheck(schema: Keywords): Check {
  const [[pattern, property] = ['', undefined]] = Object.entries(
    schema.patternProperties as Record<string, TSchema>,
  );
  const expression = new RegExp(pattern);
  const check = checkOf(property as TSchema);
  const { additionalProperties: others } = schema;
  if (typeof others === 'object') throw new Error('other keys of records can only be refused in schemas');
  const hasSize = sizeCheck(schema);
  return (value) => {
    if (!isObject(value) || value instanceof Date || value instanceof Uint8Array || !hasSize(value))
      return false;
    return Object.entries(value).every(([key, one]) =>
      expression.test(key) ? check(one) : others !== false,
    );
  };
}

function sizeCheck({ minProperties, maxProperties }: Keywords): (value: object) => boolean {
  if (minProperties === undefined && maxProperties === undefined) return () => true;
  const isWithin = bounds(minProperties, maxProperties);
  return (value) => isWithin(Object.getOwnPropertyNames(value).length);
}

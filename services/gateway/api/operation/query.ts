import type { FastifyRequest } from 'fastify';
import { DEFAULT_LIMIT, MAX_LIMIT } from '#proto/api/lists.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Static, type TObject, type TSchema, Type } from '#proto/contract/schema.ts';
import { matches } from '#proto/contract/schema-check.ts';

/** Parameters of a page of a list. */
export const pageQuery = {
  after: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 1_024,
      description: '`next` of the previous answer.',
    }),
  ),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_LIMIT,
      default: DEFAULT_LIMIT,
      description: 'Max entries of the answer.',
    }),
  ),
};

/**
 * The parameters of a query, each at most once. Whole numbers, true and false are converted.
 * @throws Fault `malformed`, naming the parameter
 */
export function queryOf<Q extends TObject>(request: FastifyRequest, schema: Q | undefined): Static<Q> {
  const given = request.query as Record<string, string | string[]>;
  const properties = (schema?.properties ?? {}) as Record<string, TSchema>;
  const names = Object.keys(properties);
  const values: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(given)) {
    const parameter = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (!parameter) {
      const remedy = names.length > 0 ? `use ${names.join(', ')}` : 'send none';
      throw new Fault('malformed', `query parameter ${quoted(name)} is not known here: ${remedy}`);
    }
    if (typeof text !== 'string')
      throw new Fault('malformed', `query parameter ${name} is repeated: send it once`);
    const value = converted(text, parameter);
    if (!matches(parameter, value)) {
      throw new Fault(
        'malformed',
        `query parameter ${name} is ${quoted(text)}: write ${expected(parameter)}`,
      );
    }
    values[name] = value;
  }
  return values as Static<Q>;
}

function converted(text: string, { type }: TSchema): unknown {
  if (type === 'integer') return /^\d{1,15}$/.test(text) ? Number(text) : text;
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  return text;
}

function expected({ type, minimum, maximum, maxLength, anyOf, remedy }: TSchema): string {
  if (remedy) return String(remedy);
  if (anyOf) return (anyOf as TSchema[]).map((one) => String(one.const)).join(' or ');
  if (type === 'boolean') return 'true or false';
  if (type !== 'integer') return `text of at most ${maxLength} characters`;
  return maximum === undefined ? 'a whole number' : `a whole number from ${minimum ?? 0} to ${maximum}`;
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 60));

import { decode, encode } from '@msgpack/msgpack';
import type { Static, TSchema } from '@sinclair/typebox';
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler';
import { type JsonLimits, parseJson } from './bounded-json.ts';
import { Fault } from './fault.ts';
import { notPlain } from './plain-data.ts';

/**
 * How a message is declared. There are four kinds, and the kind says how it fails:
 *
 *   request   one question, one answer; no answer is a fault at the caller
 *   job       a wish in a work queue; redelivered until somebody says it is done, so its handler is idempotent
 *   event     past tense; anyone may listen, and replay; may be lost, so nothing may depend on it for truth
 *   state     key and value; the last value wins; watchable
 *
 * One declaration gives the subject, the schema, the static type and the check at the receiving edge.
 */
export type Request<Q extends TSchema = TSchema, R extends TSchema = TSchema> = {
  readonly kind: 'request';
  /** `<owner>.<noun>.<verb>`; the owner is the service that answers. */
  readonly subject: string;
  readonly query: Q;
  readonly reply: R;
};
export type Job<T extends TSchema = TSchema> = {
  readonly kind: 'job';
  /** `jobs.<noun>.<verb>` */
  readonly subject: string;
  readonly body: T;
};
export type Event<T extends TSchema = TSchema> = {
  readonly kind: 'event';
  /** `<noun>.<past participle>`; its subject is `events.<type>`. */
  readonly type: string;
  readonly data: T;
  /** Said beside being stored, before the change itself is answered: see `Invalidations`. */
  readonly atOnce: boolean;
};
export type State<T extends TSchema = TSchema> = {
  readonly kind: 'state';
  /** A bucket of `streams.ts`. */
  readonly bucket: string;
  readonly value: T;
};

export function request<Q extends TSchema, R extends TSchema>(
  subject: string,
  query: Q,
  reply: R,
): Request<Q, R> {
  return { kind: 'request', subject, query, reply };
}
export function job<T extends TSchema>(subject: string, body: T): Job<T> {
  return { kind: 'job', subject, body };
}
export function event<T extends TSchema>(type: string, data: T, { atOnce = false } = {}): Event<T> {
  return { kind: 'event', type, data, atOnce };
}
export function state<T extends TSchema>(bucket: string, value: T): State<T> {
  return { kind: 'state', bucket, value };
}

/** A message that is larger does not fit into one of the bus, whose limit is 1 MiB with its headers. */
export const MAX_MESSAGE_BYTES = 1024 * 1024 - 16 * 1024;

/**
 * A checked value as msgpack: what is packed can be unpacked with the same schema. `undefined` fields are left out.
 * @throws Fault `malformed`, naming the field; `too-large`
 */
export function pack<T extends TSchema>(schema: T, value: Static<T>): Uint8Array {
  mustBePlain(value);
  const bytes = encode(check(schema, value), { ignoreUndefined: true });
  if (bytes.byteLength <= MAX_MESSAGE_BYTES) return bytes;
  throw new Fault('too-large', `a message of ${bytes.byteLength} bytes: ${MAX_MESSAGE_BYTES} at most`);
}

/** How many bytes a value takes, packed. */
export function packedSize(value: unknown): number {
  return encode(value, { ignoreUndefined: true }).byteLength;
}

const checks = new WeakMap<TSchema, TypeCheck<TSchema>>();

/**
 * Bytes from the wire as a checked value. Byte strings in it are views on `bytes`: copy what outlives the handler.
 * @throws Fault `malformed`, naming the field
 */
export function unpack<T extends TSchema>(schema: T, bytes: Uint8Array): Static<T> {
  let value: unknown;
  try {
    value = decode(bytes);
  } catch (cause) {
    throw new Fault('malformed', 'the message is not msgpack', { cause });
  }
  mustBePlain(value);
  return check(schema, value);
}

/**
 * JSON from another machine as a checked value.
 * @param values how many of them there may be, where that is not the general limit
 * @throws SyntaxError
 * @throws Fault `malformed`, naming the field; `too-large`
 */
export function parse<T extends TSchema>(
  schema: T,
  json: string | Uint8Array,
  { values }: Partial<Pick<JsonLimits, 'values'>> = {},
): Static<T> {
  // How deep data may be, `notPlain` says, with the field.
  const value = parseJson(typeof json === 'string' ? Buffer.from(json) : json, {
    depth: 1_000,
    ...(values !== undefined && { values }),
  });
  mustBePlain(value);
  return check(schema, value);
}

/** @throws Fault `malformed`, naming the field and what is expected of it */
export function check<T extends TSchema>(schema: T, value: unknown): Static<T> {
  let compiled = checks.get(schema);
  if (!compiled) {
    compiled = TypeCompiler.Compile(schema as TSchema);
    checks.set(schema, compiled);
  }
  if (compiled.Check(value)) return value as Static<T>;
  const first = compiled.Errors(value).First();
  throw new Fault('malformed', `${first?.path || '/'}: ${first?.message ?? 'not valid'}`);
}

function mustBePlain(value: unknown): void {
  const why = notPlain(value);
  if (why) throw new Fault('malformed', why.startsWith(':') ? `/${why}` : why);
}

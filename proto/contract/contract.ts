import { decode, Encoder } from '@msgpack/msgpack';
import type { Static, TSchema } from '@sinclair/typebox';
import { type JsonLimits, parseJson } from './bounded-json.ts';
import { Fault } from './fault.ts';
import { notPlain } from './plain-data.ts';
import { matches } from './schema-check.ts';
import { errorsOf } from './schema-errors.ts';

/**
 * Message contracts. Each message is of one of four kinds, and the kind says how it fails:
 *
 *   request   one query, one answer; without an answer, the caller gets a fault
 *   job       an entry of a work queue; redelivered until a worker confirms it, so its handler is idempotent
 *   event     past tense; anyone may subscribe and replay; may be lost, so correctness must not depend on it
 *   state     key and value; the last value wins; watchable
 *
 * One declaration gives the subject, the schema, the static type and the check at the receiving edge. `pack` checks and
 * encodes a value, the bus carries it as msgpack, `unpack` decodes and checks it again.
 *
 * This folder imports no other: faults (fault.ts), the envelope of events (envelope.ts), schemas of single values
 * (scalars.ts), bounds on data from outside (bounded-json.ts, packed-size.ts, plain-data.ts, clip.ts,
 * terminal-text.ts), users of the bus (users.ts), the log interface (log.ts).
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
  /** Also sent as an invalidation, before the request that made the change is answered: see `Invalidations`. */
  readonly immediate: boolean;
};
export type State<T extends TSchema = TSchema> = {
  readonly kind: 'state';
  /** A bucket of `proto/jetstream/streams.ts`. */
  readonly bucket: string;
  readonly value: T;
};

/** The schema with another description, for the reference. */
export const described = <T extends TSchema>(schema: T, description: string): T => ({
  ...schema,
  description,
});

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
export function event<T extends TSchema>(type: string, data: T, { immediate = false } = {}): Event<T> {
  return { kind: 'event', type, data, immediate };
}
export function state<T extends TSchema>(bucket: string, value: T): State<T> {
  return { kind: 'state', bucket, value };
}

/** Max size of a packed message, in bytes. The limit of the bus is 1 MiB, including headers. */
export const MAX_MESSAGE_BYTES = 1024 * 1024 - 16 * 1024;

/**
 * Checks a value and encodes it as msgpack; `unpack` accepts the result with the same schema. Omits `undefined` fields.
 * @throws Fault `malformed`, naming the field; `too-large`
 */
export function pack<T extends TSchema>(schema: T, value: Static<T>): Uint8Array {
  mustBePlain(value);
  const bytes = encode(check(schema, value));
  if (bytes.byteLength <= MAX_MESSAGE_BYTES) return bytes;
  throw new Fault(
    'too-large',
    `the message has ${bytes.byteLength} bytes: the limit is ${MAX_MESSAGE_BYTES}`,
  );
}

/** Max bytes of the buffer that is kept for the next message. */
const MAX_KEPT_BYTES = 64 * 1024;
const newEncoder = () => new Encoder({ ignoreUndefined: true });
let encoder = newEncoder();

/** With one encoder for all messages: each has a buffer, whose allocation takes longer than to encode an event. */
function encode(value: unknown): Uint8Array {
  const bytes = encoder.encode(value);
  if (bytes.byteLength > MAX_KEPT_BYTES) encoder = newEncoder();
  return bytes;
}

/**
 * Decodes and checks bytes from the wire. Byte strings in the result are views on `bytes`: copy what outlives the
 * handler.
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
 * Parses and checks JSON from another machine.
 * @param values max number of JSON values, if not the general limit
 * @throws SyntaxError
 * @throws Fault `malformed`, naming the field; `too-large`
 */
export function parse<T extends TSchema>(
  schema: T,
  json: string | Uint8Array,
  { values }: Partial<Pick<JsonLimits, 'values'>> = {},
): Static<T> {
  // `notPlain` enforces the depth limit, and names the field.
  const value = parseJson(typeof json === 'string' ? Buffer.from(json) : json, {
    depth: 1_000,
    ...(values !== undefined && { values }),
  });
  mustBePlain(value);
  return check(schema, value);
}

/** @throws Fault `malformed`, naming the field and what its schema expects */
export function check<T extends TSchema>(schema: T, value: unknown): Static<T> {
  if (matches(schema, value)) return value;
  const [first] = errorsOf(schema, value);
  throw new Fault('malformed', `${first?.path || '/'}: ${first?.message ?? 'not valid'}`);
}

function mustBePlain(value: unknown): void {
  const why = notPlain(value);
  if (why) throw new Fault('malformed', why.startsWith(':') ? `/${why}` : why);
}

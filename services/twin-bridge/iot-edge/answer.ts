import type { Log } from '#proto/bus/bus.ts';
import { formatSeconds } from '#proto/contract/quantity-text.ts';
import { type DirectMethod, type MethodAnswer, refusal } from '../methods/method.ts';

/** Max size of the JSON of an answer, in bytes (IoT Hub, "Understand and invoke direct methods"). */
const MAX_BYTES = 128 * 1024;
/** Max calls in progress. Further callers are asked to retry later. */
export const MAX_CALLS = 16;

export type Call = { name: string; payload: Buffer };

/**
 * Answers a direct method, always: 404 for an unknown method, 400 for a payload that is not JSON, 504 after the
 * timeout, 500 for a failure; each with a fault code. An answer never has details of an internal failure. Of a call,
 * only the name is logged.
 */
export async function answerCall(
  { name, payload }: Call,
  methods: ReadonlyMap<string, DirectMethod>,
  log: Log,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const answer = await runMethod(name, payload, methods, log, timeoutMs, signal);
  const encoded = encode(answer);
  const bytes = Buffer.byteLength(encoded.text);
  if (bytes <= MAX_BYTES) return encoded;
  const reason = `the answer has ${bytes} bytes, more than the limit of ${MAX_BYTES} bytes for a direct method`;
  return encode(refusal('too-large', reason, 500));
}

async function runMethod(
  name: string,
  payload: Buffer,
  methods: ReadonlyMap<string, DirectMethod>,
  log: Log,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<MethodAnswer> {
  const method = methods.get(name);
  if (!method) return refusal('name-unknown', `unknown method ${name}: ${methodNames(methods)}`);
  let value: unknown = null;
  try {
    if (payload.length > 0) value = JSON.parse(payload.toString('utf8'));
  } catch {
    return refusal('malformed', 'the payload is not JSON: write an object, or nothing');
  }
  const timeout = AbortSignal.timeout(timeoutMs);
  const either = AbortSignal.any([signal, timeout]);
  const over = Promise.withResolvers<MethodAnswer>();
  either.addEventListener('abort', () =>
    over.resolve(
      refusal('unavailable', `${name} did not finish within ${formatSeconds(timeoutMs)}: retry`, 504),
    ),
  );
  try {
    return await Promise.race([method(value, either), over.promise]);
  } catch (err) {
    if (either.aborted) return over.promise;
    log.error({ err, method: name }, 'a direct method failed');
    return refusal('internal', `${name} failed: see the log of the twin-bridge`);
  }
}

const methodNames = (methods: ReadonlyMap<string, DirectMethod>) =>
  `the methods are ${[...methods.keys()].join(', ')}`;

/** The answer to a call beyond `MAX_CALLS`. */
export const tooManyCalls = () =>
  encode(refusal('too-many', `${MAX_CALLS} methods are running already: retry later`));

/** Status 0 is invalid: the caller would take it for a missing status. */
const encode = ({ status, payload }: MethodAnswer) => ({
  status: status || 500,
  text: JSON.stringify(payload ?? null),
});

import type { Static, TObject } from '@sinclair/typebox';
import type { Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { matches } from '#proto/contract/schema-check.ts';
import { errorsOf, type ValueError } from '#proto/contract/schema-errors.ts';
import { statusOf } from './statuses.ts';

/** Answer of a direct method: an HTTP-like status, and a payload for JSON. */
export type MethodAnswer = { status: number; payload: unknown };
export type DirectMethod = (payload: unknown, signal: AbortSignal) => Promise<MethodAnswer>;

/** Max time of an answer, in ms. IoT Hub's default timeout is 30 s; a module does not learn of another one. */
export const ANSWER_MS = 23_000;

/**
 * A method whose payload has this form; a missing payload is `{}`. An invalid payload and every fault is answered with
 * a fault code and a sentence for an operator.
 */
export function method<T extends TObject>(
  form: T,
  log: Log,
  work: (input: Static<T>, signal: AbortSignal) => Promise<MethodAnswer>,
  answerMs = ANSWER_MS,
): DirectMethod {
  return async (payload, signal) => {
    const input = payload ?? {};
    if (!matches(form, input)) return refusal('malformed', complaintsOf(form, [...errorsOf(form, input)]));
    const late = AbortSignal.timeout(answerMs);
    try {
      return await work(input, AbortSignal.any([signal, late]));
    } catch (error) {
      if (late.aborted) return refusal('unavailable', `no answer within ${answerMs / 1_000} s: retry`, 504);
      if (Fault.is(error)) return refusal(error.code, error.message);
      if (!signal.aborted) log.error({ err: error }, 'a direct method failed');
      return refusal('internal', 'the method failed: see the log of the twin-bridge');
    }
  };
}

/** An answer other than a result: a fault code, and a sentence for an operator. */
export const refusal = (code: Fault['code'], message: string, status = statusOf(code)): MethodAnswer => ({
  status,
  payload: { code, message },
});

/** All complaints about a payload, one for each field. */
function complaintsOf(form: TObject, errors: ValueError[]): string {
  const complaints = new Map(
    errors.map((error) => [fieldOf(error), error]).reverse() as [string, ValueError][],
  );
  return [...complaints]
    .reverse()
    .map(([field, { value }]) => complaintOf(form, field, value))
    .join('; ');
}

const fieldOf = ({ path }: ValueError): string => path.slice(1).replaceAll('/', '.');

function complaintOf(form: TObject, field: string, value: unknown): string {
  const fields = Object.keys(form.properties);
  const names = fields.length > 0 ? `the fields are ${fields.join(', ')}` : 'the method has no fields';
  if (field === '') return `the payload is not valid: write an object; ${names}`;
  const [first = field] = field.split('.');
  const known = form.properties[first];
  if (!known) return `${field} is not a field: ${names}`;
  if (value === undefined) return `${field} is missing: write ${known.description}`;
  return `${field} is not valid: write ${known.description}`;
}

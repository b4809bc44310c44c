import { type SerializedError, stdSerializers } from 'pino';
import { Fault } from '#proto/contract/fault.ts';

/**
 * An error as a field of a log line. A fault is an expected outcome, and its code and message say what an operator
 * needs: its stack trace is left out. Any other error is a defect, and keeps it.
 */
export function describeError(err: Error): Partial<SerializedError> {
  const described = stdSerializers.err(err);
  if (!Fault.is(err)) return described;
  const { stack: _stack, ...rest } = described;
  return rest;
}

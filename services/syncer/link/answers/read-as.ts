import type { Static, TSchema } from '@sinclair/typebox';
import { parse } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';

/**
 * Parses a body as a message of a Terrace.
 * @returns undefined if it is not one: another server may answer every path with the same page
 */
export function readAs<T extends TSchema>(schema: T, text: string | Uint8Array): Static<T> | undefined {
  try {
    return parse(schema, text);
  } catch (error) {
    if (error instanceof SyntaxError || Fault.is(error, 'malformed', 'too-large')) return undefined;
    throw error;
  }
}

import type { Static, TSchema } from '@sinclair/typebox';
import { parse } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';

/** A body as a Terrace writes it; undefined for that of somebody else, who may answer every path alike with a page. */
export function readAs<T extends TSchema>(schema: T, text: string | Uint8Array): Static<T> | undefined {
  try {
    return parse(schema, text);
  } catch (error) {
    if (error instanceof SyntaxError || Fault.is(error, 'malformed', 'too-large')) return undefined;
    throw error;
  }
}

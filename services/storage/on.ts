import type { Static, TSchema } from '@sinclair/typebox';
import type { Request } from '#proto/contract/contract.ts';

/** Registers the handler of a request. */
export type On = <Q extends TSchema, R extends TSchema>(
  contract: Request<Q, R>,
  handler: (query: Static<Q>) => Promise<Static<R>>,
) => void;

/** A reply without content. */
export const emptyReply = () => ({});

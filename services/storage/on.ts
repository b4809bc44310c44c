import type { Static, TSchema } from '@sinclair/typebox';
import type { Request } from '#proto/contract/contract.ts';

/** Has a request answered by a handler. */
export type On = <Q extends TSchema, R extends TSchema>(
  contract: Request<Q, R>,
  handler: (query: Static<Q>) => Promise<Static<R>>,
) => void;

export const nothing = () => ({});

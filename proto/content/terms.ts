import { type Static, Type } from '@sinclair/typebox';
import { type Request, request } from '../contract/contract.ts';
import { Party } from '../oci/names.ts';

/**
 * Terms of coordinators: numbers that storage hands out, each higher than all before it, whatever crashed meanwhile.
 * The lease on the bus says who should make the passes; the term makes sure that whoever made them before changes
 * nothing here any more, also where it was paused in the middle of a pass and does not know yet that its lease ended.
 */
export const Term = Type.Integer({ minimum: 1 });
export type Term = Static<typeof Term>;

/**
 * Asks for a new term, as the one that makes the passes from now on. It is answered when every request of earlier
 * terms that is under way has ended; those that come later are refused.
 */
export const takeTerm = request('storage.term.take', Type.Object({ by: Party }), Type.Object({ term: Term }));

/**
 * In the query of every request by which a pass changes storage: the term of the pass; clients have none. Where it is
 * not the last one handed out the fault is `claim-lost`, with `detail.term`.
 */
export const Fenced = { term: Type.Optional(Term) };

/** Whether a request may carry a term. */
export const isFenced = ({ query }: Request): boolean => 'term' in (query.properties ?? {});

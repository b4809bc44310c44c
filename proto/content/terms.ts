import { type Request, request } from '../contract/contract.ts';
import { Party } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/**
 * Terms of coordinators: fencing terms that storage hands out, each higher than all before it, also across crashes. The
 * lease on the bus elects the coordinator. The term ensures that an earlier coordinator changes nothing here any more,
 * even if it was paused in the middle of a pass and does not know yet that its lease ended.
 */
export const Term = Type.Integer({ minimum: 1 });
export type Term = Static<typeof Term>;

/**
 * Asks for a new term, as the coordinator from now on. Answered when every running request of earlier terms has ended;
 * later requests of these terms are refused.
 */
export const takeTerm = request('storage.term.take', Type.Object({ by: Party }), Type.Object({ term: Term }));

/**
 * Field of the query of every request by which a pass changes storage: the term of the pass; clients have none. If it
 * is not the last one handed out, the fault is `claim-lost`, with `detail.term`.
 */
export const Fenced = { term: Type.Optional(Term) };

/** Whether a request may carry a term. */
export const isFenced = ({ query }: Request): boolean => 'term' in (query.properties ?? {});

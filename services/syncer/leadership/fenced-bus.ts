import type { Bus } from '#proto/bus/bus.ts';
import type { BusCaller, EventListener, EventPublisher, JobSubmitter } from '#proto/bus/roles.ts';
import { isFenced, type Term } from '#proto/content/terms.ts';

/** The part of the bus that a pass uses. Fenced requests carry the term of the coordinator. */
export type FencedBus = BusCaller & EventPublisher & EventListener & JobSubmitter;

/** @param refused called with the fault of a request; it throws */
export const fencedBus = (bus: Bus, term: Term, refused: (error: unknown) => never): FencedBus => ({
  call: (contract, query, options) =>
    bus.call(contract, isFenced(contract) ? { ...(query as object), term } : query, options).catch(refused),
  publish: bus.publish,
  listen: bus.listen,
  submit: bus.submit,
  backlog: (consumer) => bus.backlog(consumer),
});

import type { BusCaller, EventListener, EventPublisher, JobSubmitter } from '#proto/bus/roles.ts';

/** The part of the bus that a pass uses. Fenced requests carry the term of the coordinator. */
export type FencedBus = BusCaller & EventPublisher & EventListener & JobSubmitter;

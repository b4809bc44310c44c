import type { Bus } from '#proto/bus/bus.ts';

/** The part of the bus that a pass uses. Fenced requests carry the term of the coordinator. */
export type FencedBus = Pick<Bus, 'call' | 'publish' | 'listen' | 'submit' | 'backlog'>;

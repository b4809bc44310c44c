import type { Bus } from '#proto/bus/bus.ts';

/** What a pass uses of the bus. */
export type FencedBus = Pick<Bus, 'call' | 'publish' | 'listen' | 'submit' | 'backlog'>;

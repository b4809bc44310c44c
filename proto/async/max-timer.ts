/** Max delay of Node's timers, in ms: one of a longer delay ends at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Distinguishes a process whose event loop is stuck in a computation from one that is slow, stopped (SIGSTOP), or on a
 * machine that was suspended: a stuck process uses CPU time and never reports a turn of its loop. Pure.
 */
export type LoopLimits = {
  /** Interval at which a process reports that its loop turns, and at which it is polled, in ms. */
  everyMs: number;
  /** Min polls in a row without such a report. Their clock stops while the machine is suspended. */
  polls: number;
  /** Min CPU time of the loop's thread during these polls, in ms: a thread that waits for the CPU is not stuck. */
  processorMs: number;
};

export const LOOP_LIMITS: LoopLimits = { everyMs: 5_000, polls: 6, processorMs: 20_000 };

/** Message of a process to its supervisor. */
export const LOOP_TURNS = 'the event loop turns';

export class StuckLoop {
  readonly #limits: LoopLimits;
  #since: { turns: number; processorMs: number } | undefined;
  #polls = 0;

  constructor(limits: LoopLimits = LOOP_LIMITS) {
    this.#limits = limits;
  }

  /**
   * To be called every `everyMs`.
   * @param turns reports of the process so far; without any, it is not judged
   * @param processorMs CPU time of the loop's thread since its start; undefined if unknown
   * @returns how long the loop has been stuck, in ms; undefined if it is not
   */
  poll(turns: number, processorMs: number | undefined): number | undefined {
    if (turns === 0 || processorMs === undefined) return undefined;
    if (turns !== this.#since?.turns) {
      this.#since = { turns, processorMs };
      this.#polls = 0;
      return undefined;
    }
    this.#polls += 1;
    const used = processorMs - this.#since.processorMs;
    const { polls, processorMs: minUsed, everyMs } = this.#limits;
    return this.#polls >= polls && used >= minUsed ? this.#polls * everyMs : undefined;
  }
}

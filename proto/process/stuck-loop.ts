/**
 * Tells a process whose event loop is stuck in a computation from one that is only slow, stopped (SIGSTOP), or on a
 * machine that was suspended: a stuck one uses the processor and never says that its loop turns. Pure.
 */
export type LoopLimits = {
  /** A process says so often that its loop turns, and is looked at so often, in ms. */
  everyMs: number;
  /** Looks in a row without such a word; the clock that counts them stands still while the machine does. */
  looks: number;
  /** Time of the processor that the thread of the loop used meanwhile, in ms: one that waits for it is not stuck. */
  processorMs: number;
};

export const LOOP_LIMITS: LoopLimits = { everyMs: 5_000, looks: 6, processorMs: 20_000 };

/** What a process sends to the one that started it. */
export const LOOP_TURNS = 'the event loop turns';

export class StuckLoop {
  readonly #limits: LoopLimits;
  #since: { turns: number; processorMs: number } | undefined;
  #looks = 0;

  constructor(limits: LoopLimits = LOOP_LIMITS) {
    this.#limits = limits;
  }

  /**
   * To be called every `everyMs`.
   * @param turns how often the process has said that its loop turns; one that never did is not judged
   * @param processorMs of the thread of the loop, since it began; undefined where nobody can tell
   * @returns for how long the loop has been stuck, in ms; undefined where it is not
   */
  look(turns: number, processorMs: number | undefined): number | undefined {
    if (turns === 0 || processorMs === undefined) return undefined;
    if (turns !== this.#since?.turns) {
      this.#since = { turns, processorMs };
      this.#looks = 0;
      return undefined;
    }
    this.#looks += 1;
    const used = processorMs - this.#since.processorMs;
    const { looks, processorMs: least, everyMs } = this.#limits;
    return this.#looks >= looks && used >= least ? this.#looks * everyMs : undefined;
  }
}

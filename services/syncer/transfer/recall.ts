import type { Bus, Verdict } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { passFinished } from '#proto/sync/passes.ts';
import type { TransferJob } from '#proto/sync/transfers.ts';

/** Passes that ended and whose jobs may still be in the queue; there are hardly ever two. */
const MAX_PASSES = 100;

/**
 * Transfers end with their pass where a change of the configuration has ended it: they may go to another parent now, or
 * be no more to use the link. What arrived is kept for the pass that follows.
 */
export class PassCancellation implements Disposable {
  readonly #over = new Set<string>();
  readonly #working = new Map<AbortController, string>();
  readonly #unlisten: () => void;

  constructor(bus: Pick<Bus, 'listen'>) {
    this.#unlisten = bus.listen(passFinished, ({ data: { pass, ended } }) => {
      if (ended === 'configuration') this.#cancellation(pass);
    });
  }

  /** Does the work unless its pass is over, and ends it when that is. */
  async guard(
    { pass }: Pick<TransferJob, 'pass'>,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Verdict>,
  ): Promise<Verdict> {
    if (this.#over.has(pass)) return 'done';
    const recalled = new AbortController();
    this.#working.set(recalled, pass);
    try {
      const verdict = await work(AbortSignal.any([signal, recalled.signal]));
      return recalled.signal.aborted && !signal.aborted ? 'done' : verdict;
    } finally {
      this.#working.delete(recalled);
    }
  }

  [Symbol.dispose](): void {
    this.#unlisten();
  }

  #cancellation(pass: string): void {
    this.#over.add(pass);
    for (const oldest of this.#over) {
      if (this.#over.size <= MAX_PASSES) break;
      this.#over.delete(oldest);
    }
    for (const [recalled, of] of this.#working) {
      if (of === pass) recalled.abort(new Fault('unavailable', 'the configuration has changed'));
    }
  }
}

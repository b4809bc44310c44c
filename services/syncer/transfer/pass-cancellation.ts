import type { JobVerdict } from '#proto/bus/bus.ts';
import type { EventListener } from '#proto/bus/roles.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import { passFinished } from '#proto/sync/passes.ts';
import type { TransferJob } from '#proto/sync/transfers.ts';

/** Max cancelled passes to remember, whose jobs may still be in the queue. More than one is rare. */
const MAX_PASSES = 100;
/** Min time by which the end of a window must be ahead for the clock to have been set back, in ms. */
const MIN_AHEAD_MS = 60_000;

type Active = Pick<TransferJob, 'pass' | 'until'>;

/**
 * Cancels the transfers of a pass that a change of the configuration or a pause of the link ended: the parent may be
 * another one now, or the link no longer usable. Also those of a pass that its window ended although their own time for
 * it is still ahead, as the clock was set back. The bytes that arrived are retained for the next pass.
 */
export class PassCancellation implements Disposable {
  readonly #cancelled = new BoundedMap<true>(MAX_PASSES);
  readonly #active = new Map<AbortController, Active>();
  readonly #unlisten: () => void;

  constructor(bus: EventListener) {
    this.#unlisten = bus.listen(passFinished, ({ data: { pass, ended } }) => {
      if (ended === 'configuration' || ended === 'paused') this.#cancel(pass, () => true);
      if (ended === 'window') this.#cancel(pass, ({ until }) => (until ?? 0) - Date.now() > MIN_AHEAD_MS);
    });
  }

  /** Runs `work` unless its pass is cancelled, and aborts it when its pass is. */
  async guard(
    { pass, until }: Active,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<JobVerdict>,
  ): Promise<JobVerdict> {
    if (this.#cancelled.has(pass)) return 'done';
    const cancellation = new AbortController();
    this.#active.set(cancellation, { pass, ...(until !== undefined && { until }) });
    try {
      const verdict = await work(AbortSignal.any([signal, cancellation.signal]));
      return cancellation.signal.aborted && !signal.aborted ? 'done' : verdict;
    } finally {
      this.#active.delete(cancellation);
    }
  }

  [Symbol.dispose](): void {
    this.#unlisten();
  }

  #cancel(pass: string, isToEnd: (job: Active) => boolean): void {
    this.#cancelled.set(pass, true);
    for (const [cancellation, job] of this.#active) {
      if (job.pass !== pass || !isToEnd(job)) continue;
      cancellation.abort(new Fault('unavailable', 'the pass of this transfer has ended'));
    }
  }
}

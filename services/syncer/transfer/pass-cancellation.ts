import type { JobVerdict } from '#proto/bus/bus.ts';
import type { EventListener } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { passFinished } from '#proto/sync/passes.ts';
import type { TransferJob } from '#proto/sync/transfers.ts';

/** Max cancelled passes to remember, whose jobs may still be in the queue. More than one is rare. */
const MAX_PASSES = 100;

/**
 * Cancels the transfers of a pass that a change of the configuration ended: the parent may be another one now, or the
 * link no longer usable. The bytes that arrived are retained for the next pass.
 */
export class PassCancellation implements Disposable {
  readonly #cancelled = new Set<string>();
  readonly #active = new Map<AbortController, string>();
  readonly #unlisten: () => void;

  constructor(bus: EventListener) {
    this.#unlisten = bus.listen(passFinished, ({ data: { pass, ended } }) => {
      if (ended === 'configuration') this.#cancel(pass);
    });
  }

  /** Runs `work` unless its pass is cancelled, and aborts it when its pass is. */
  async guard(
    { pass }: Pick<TransferJob, 'pass'>,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<JobVerdict>,
  ): Promise<JobVerdict> {
    if (this.#cancelled.has(pass)) return 'done';
    const cancellation = new AbortController();
    this.#active.set(cancellation, pass);
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

  #cancel(pass: string): void {
    this.#cancelled.add(pass);
    for (const oldest of this.#cancelled) {
      if (this.#cancelled.size <= MAX_PASSES) break;
      this.#cancelled.delete(oldest);
    }
    for (const [cancellation, itsPass] of this.#active) {
      if (itsPass === pass) cancellation.abort(new Fault('unavailable', 'the configuration has changed'));
    }
  }
}

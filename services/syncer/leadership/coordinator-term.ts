import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { isFenced, type Term, takeTerm } from '#proto/content/terms.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Context } from '../../process/run.ts';
import type { Upward } from '../link/parent/upward.ts';
import type { FencedBus } from './fenced-bus.ts';
import type { Lease } from './lease.ts';

/**
 * The time in which this process makes the passes: from the term that storage gave it to the end of its lease. A
 * process that is paused and goes on after another one has taken its place is stopped in two ways:
 *
 * - storage refuses what carries an earlier term than the last, so nothing of this layer is changed;
 * - no request that changes the parent is sent when the lease may have ended by the clock. A parent can't refuse it:
 *   one that left in time, and is carried out late, or one of a process that is paused between the look at the clock
 *   and the write to its socket, is carried out. A Terrace takes changes of tags only from what is expected of them;
 *   at any other parent the tag is looked at right before. What then remains is found by the next pass as a change of
 *   the parent; of what it took the place, the layer still has the content.
 *
 * Transfers need none of this: blobs are what their digests say, whoever brings them.
 */
export class CoordinatorTerm {
  readonly term: Term;
  readonly bus: FencedBus;
  readonly #lease: Pick<Lease, 'holds'>;
  readonly #lost: (fault: Fault) => void;
  readonly #end = new AbortController();

  /** @param lost is told once, when it turns out that somebody else leads */
  constructor(bus: Bus, term: Term, lease: Pick<Lease, 'holds'>, lost: (fault: Fault) => void) {
    this.term = term;
    this.bus = {
      call: (contract, query, options) =>
        bus
          .call(contract, isFenced(contract) ? { ...(query as object), term } : query, options)
          .catch((error) => this.#refused(error)),
      publish: bus.publish,
      listen: bus.listen,
      submit: bus.submit,
      backlog: (consumer) => bus.backlog(consumer),
    };
    this.#lease = lease;
    this.#lost = lost;
  }

  /** Aborts at its end: with a Fault `claim-lost` where somebody else leads. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** The same client of the parent, for the changes of a pass. */
  upward(upward: Upward): Upward {
    return upward.guarded(() => this.#mustHold());
  }

  end(): void {
    this.#end.abort(new Error('the coordinator changes'));
  }

  #mustHold(): void {
    if (this.#lease.holds) return;
    const said = 'the lease of the coordinator may have ended: nothing more is changed at the parent';
    throw this.#over(new Fault('claim-lost', said));
  }

  #refused(error: unknown): never {
    // A claim on an ingest may be lost as well.
    const own = Fault.is(error, 'claim-lost') && error.detail?.term !== undefined;
    throw own ? this.#over(error) : error;
  }

  #over(fault: Fault): Fault {
    if (!this.signal.aborted) {
      this.#end.abort(fault);
      this.#lost(fault);
    }
    return fault;
  }
}

/** How long storage is left alone after it gave no term. */
const RETRY = { firstMs: 250, maxMs: 5_000 };

/** Asks storage until it gives a term, while the lease is held. @throws the reason of `signal` */
export async function newTerm(
  { bus, instance, log }: Pick<Context, 'bus' | 'instance' | 'log'>,
  lease: Pick<Lease, 'holds'>,
  signal: AbortSignal,
): Promise<Term> {
  for (let failures = 1; ; failures += 1) {
    try {
      // One that may have lost the lease would keep whoever has it from its work.
      const term = lease.holds && (await bus.call(takeTerm, { by: instance }, { signal })).term;
      if (term && lease.holds) return term;
    } catch (err) {
      signal.throwIfAborted();
      log.warn({ err }, 'storage gives no term to make passes in; asking again');
    }
    await sleep(backoffMs(failures, RETRY), undefined, { signal });
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { type Term, takeTerm } from '#proto/content/terms.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Context } from '../../process/run.ts';
import type { PushClient } from '../link/parent/push-client.ts';
import { type FencedBus, fencedBus } from './fenced-bus.ts';
import type { LeaseHolder } from './lease.ts';

/**
 * Leadership: one syncer of the layer makes the passes at a time.
 *
 * `kv-lease.ts` is a lease: an entry of a key-value bucket that expires unless it is renewed. `lease.ts` holds the one
 * of the coordinator with it; uploads have theirs (`transfer/upload-lease.ts`). A process that gains the coordinator
 * lease takes a new term from storage (`newTerm`); storage then refuses fenced requests with an earlier term. A
 * `CoordinatorTerm` lasts from there to the loss of the lease. It adds the term to each fenced request of a pass
 * (`FencedBus`), guards the requests that change the parent, and aborts its signal when another process has taken over.
 * Time on a lease is measured by two clocks (`elapsed.ts`).
 */

/**
 * The term in which this process makes the passes. A process that was paused, and resumes after another one has taken
 * over, is fenced in two ways:
 *
 * - storage refuses requests with an earlier term than the last, so this layer is not changed;
 * - no request that changes the parent is sent once the lease may have expired. The parent itself has no fencing: a
 *   request that was sent in time but is executed late, or one of a process that is paused between the check of the
 *   clock and the write to its socket, is executed. A Terrace changes a tag only if it still has the expected target;
 *   at any other parent, the tag is read right before the change. A late write that slips through looks like a change
 *   made at the parent; the next pass resolves it, and the replaced content is still in this layer.
 *
 * Transfers need no fencing: blobs are content-addressed, so it does not matter which process writes them.
 */
export class CoordinatorTerm {
  readonly term: Term;
  readonly bus: FencedBus;
  readonly #lease: LeaseHolder;
  readonly #lost: (fault: Fault) => void;
  readonly #end = new AbortController();

  /** @param lost called once, when another process turns out to be the coordinator */
  constructor(bus: Bus, term: Term, lease: LeaseHolder, lost: (fault: Fault) => void) {
    this.term = term;
    this.bus = fencedBus(bus, term, (error) => this.#refused(error));
    this.#lease = lease;
    this.#lost = lost;
  }

  /** Aborts when the term ends, with a Fault `claim-lost` if another process is the coordinator. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** The client with a check of the lease before each request that changes the parent. */
  fenced(pushClient: PushClient): PushClient {
    return pushClient.guarded(() => this.#mustHold());
  }

  end(): void {
    this.#end.abort(new Error('the coordinator changes'));
  }

  #mustHold(): void {
    if (this.#lease.holds) return;
    const message = 'the lease of the coordinator may have ended: nothing more is changed at the parent';
    throw this.#over(new Fault('claim-lost', message));
  }

  #refused(error: unknown): never {
    // A lost claim on an ingest has the same code, but no term.
    const isFencedTerm = Fault.is(error, 'claim-lost') && error.detail?.term !== undefined;
    throw isFencedTerm ? this.#over(error) : error;
  }

  #over(fault: Fault): Fault {
    if (!this.signal.aborted) {
      this.#end.abort(fault);
      this.#lost(fault);
    }
    return fault;
  }
}

/** Backoff after storage gave no term. */
const RETRY = { firstMs: 250, maxMs: 5_000 };

/** Requests a term from storage, while the lease is held, until it is given. @throws the reason of `signal` */
export async function newTerm(
  { bus, instance, log }: Pick<Context, 'bus' | 'instance' | 'log'>,
  lease: LeaseHolder,
  signal: AbortSignal,
): Promise<Term> {
  for (let failures = 1; ; failures += 1) {
    const ms = backoffMs(failures, RETRY);
    try {
      // Without the lease, a new term would fence the actual coordinator.
      const term = lease.holds && (await bus.call(takeTerm, { by: instance }, { signal })).term;
      if (term && lease.holds) return term;
    } catch (err) {
      signal.throwIfAborted();
      log.warn({ err, ms }, 'storage gave no term; asking again');
    }
    await sleep(ms, undefined, { signal });
  }
}

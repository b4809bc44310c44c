import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../async/backoff.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { orAborted } from '../async/unless-aborted.ts';
import { clip } from '../contract/clip.ts';
import { described, event, type Job, pack, unpack } from '../contract/contract.ts';
import { Fault } from '../contract/fault.ts';
import type { Log } from '../contract/log.ts';
import { Count, Reason } from '../contract/scalars.ts';
import { type Static, type TSchema, Type } from '../contract/schema.ts';
import type { JobOutcome, Queue, Taken } from '../jetstream/store.ts';
import { type ConsumerName, consumers } from '../jetstream/streams.ts';

/** `retryMs`: redeliver the job after this many ms. */
export type JobVerdict = 'done' | { retryMs: number };
export type Worker<T> = (body: T, attempt: number) => Promise<JobVerdict>;

export type JobsDeps = {
  queue(name: ConsumerName): Queue;
  /** Aborts when the connection is closed, so that no more jobs arrive. */
  closed: AbortSignal;
};

/**
 * A job that no worker could do was dropped. The next pass, or the process that waits for its content, submits it
 * again.
 */
export const jobDropped = event(
  'job.dropped',
  Type.Object({
    queue: Type.String({ maxLength: 64, description: 'Queue of the job: `down`, `up`, `make` or `apply`.' }),
    attempts: described(Count, 'How often a worker has failed.'),
    reason: Reason,
  }),
);

/** Submits and handles jobs. Of the workers of a process, one at a time waits for the next job of a queue. */
export class Jobs {
  readonly #deps: JobsDeps;
  readonly #log: Log;
  readonly #locks = new KeyedLock();

  constructor(deps: JobsDeps, log: Log) {
    this.#deps = deps;
    this.#log = log;
  }

  /** @throws Fault `unavailable` if the queue did not confirm the job; `malformed`, naming the field */
  async submit<T extends TSchema>(job: Job<T>, body: Static<T>): Promise<void> {
    const bytes = pack(job.body, body);
    try {
      await this.#deps.queue(nameOf(job)).submit(bytes);
    } catch (cause) {
      throw new Fault('unavailable', `the queue did not accept ${job.subject}`, { cause });
    }
  }

  /**
   * Handles one job after another until `signal` aborts; call it once per worker slot. A job whose handler throws or
   * whose worker disappears is redelivered.
   */
  async work<T extends TSchema>(
    consumer: ConsumerName,
    job: Job<T>,
    signal: AbortSignal,
    handler: Worker<Static<T>>,
  ): Promise<void> {
    const deps = this.#deps;
    const stop = AbortSignal.any([signal, deps.closed]);
    const queue = deps.queue(consumer);
    const take = async () => (stop.aborted ? undefined : queue.take());
    await takeJobs({
      name: consumer,
      queue,
      take: () => this.#locks.run(consumer, take),
      unpack: (bytes) => unpack(job.body, bytes),
      handler,
      ackWaitMs: consumers[consumer].ackWaitMs,
      signal: stop,
      log: this.#log,
    });
  }
}

type Work<T> = {
  /** For the log. */
  name: string;
  queue: Queue;
  take: () => Promise<Taken | undefined>;
  unpack: (bytes: Uint8Array) => T;
  handler: Worker<T>;
  /** A job without a sign of progress for this long is redelivered to another worker. */
  ackWaitMs: number;
  signal: AbortSignal;
  log: Log;
};

const RETRY = { firstMs: 400, maxMs: 5_000 };

/** Handles one job after another until the signal aborts. Backs off while the queue does not answer. */
async function takeJobs<T>(work: Work<T>): Promise<void> {
  const { signal, log, name } = work;
  for (let failures = 0; !signal.aborted; ) {
    try {
      while (!signal.aborted) {
        const next = work.take();
        const taken = await orAborted(signal, next);
        failures = 0;
        if (taken) await handle(taken, work);
        else if (signal.aborted) giveBack(work.queue, next);
      }
    } catch (err) {
      if (signal.aborted) return;
      failures += 1;
      const ms = backoffMs(failures, RETRY);
      log.warn({ err, queue: name, ms }, 'queue does not answer; retrying');
      await sleep(ms, undefined, { signal }).catch(() => {});
    }
  }
}

/** Returns a job that arrives after the stop, for another worker. */
function giveBack(queue: Queue, next: Promise<Taken | undefined>): void {
  next.then((late) => late && queue.settle(late.token, { kind: 'again', ms: 0 })).catch(() => {});
}

async function handle<T>(
  { token, attempt, bytes }: Taken,
  { unpack, handler, ackWaitMs, name, queue, log }: Work<T>,
) {
  // If the queue does not receive the outcome, it redelivers the job.
  const settle = (outcome: JobOutcome) =>
    queue.settle(token, outcome).catch((err) => log.debug({ err, queue: name }, 'cannot acknowledge a job'));
  const heartbeat = setInterval(() => void settle({ kind: 'working' }), ackWaitMs / 4).unref();
  try {
    const verdict = await handler(unpack(bytes), attempt);
    if (verdict === 'done') await settle({ kind: 'done' });
    else await settle({ kind: 'again', ms: Math.round(verdict.retryMs) });
  } catch (err) {
    log.error({ err, queue: name }, 'job failed');
    const reason = Fault.is(err) ? err.message : 'the worker failed: see its log';
    await settle({ kind: 'failed', reason: clip(reason, 1_000), final: Fault.is(err, 'malformed') });
  } finally {
    clearInterval(heartbeat);
  }
}

function nameOf({ subject }: Job): ConsumerName {
  const names = Object.keys(consumers) as ConsumerName[];
  const name = names.find((one) => consumers[one].subject === subject);
  if (!name) throw new Error(`${subject} has no queue`);
  return name;
}

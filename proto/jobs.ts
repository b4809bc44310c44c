import { setTimeout as sleep } from 'node:timers/promises';
import type { Static, TSchema } from '@sinclair/typebox';
import { type Job, pack, unpack } from './contract.ts';
import { Fault } from './fault.ts';
import type { Log } from './log.ts';
import { type ConsumerName, consumers } from './streams.ts';

/** `again`: give the job out again, after so many milliseconds. */
export type Verdict = 'done' | { again: number };
export type Worker<T> = (body: T, attempt: number) => Promise<Verdict>;

/** One job as a queue gives it out. */
export type Delivery = {
  data: Uint8Array;
  info: { redeliveryCount: number };
  /** Not done yet, and not forgotten. */
  working(): void;
  ackAck(): Promise<boolean>;
  ack(): void;
  nak(ms: number): void;
  /** Never again. */
  term(): void;
};

export type Queue = { next(): Promise<Delivery | null> };

export type Queues = {
  /** Resolves when the queue has it. */
  submit(subject: string, bytes: Uint8Array): Promise<void>;
  open(consumer: ConsumerName): Promise<Queue>;
  /** Makes again what is not there any more. */
  mend(): Promise<void>;
  /** Aborts when there will be no more jobs. */
  closed: AbortSignal;
};

/** Wishes in a work queue. */
export class Jobs {
  readonly #queues: Queues;
  readonly #log: Log;

  constructor(queues: Queues, log: Log) {
    this.#queues = queues;
    this.#log = log;
  }

  /** @throws Fault `unavailable` when the queue did not confirm it; `malformed`, naming the field */
  async submit<T extends TSchema>(job: Job<T>, body: Static<T>): Promise<void> {
    const bytes = pack(job.body, body);
    try {
      await this.#queues.submit(job.subject, bytes);
    } catch (cause) {
      throw new Fault('unavailable', `the queue did not take ${job.subject}`, { cause });
    }
  }

  /**
   * Takes one job after another until `signal` ends it; call it once for each slot. A job whose handler throws, or
   * whose worker disappears, is given out again.
   */
  async work<T extends TSchema>(
    consumer: ConsumerName,
    job: Job<T>,
    signal: AbortSignal,
    handler: Worker<Static<T>>,
  ): Promise<void> {
    const queues = this.#queues;
    let again = false;
    await takeJobs({
      name: consumer,
      open: async () => {
        if (again) await queues.mend();
        again = true;
        return queues.open(consumer);
      },
      unpack: (bytes) => unpack(job.body, bytes),
      handler,
      ackWaitMs: consumers[consumer].ackWaitMs,
      signal: AbortSignal.any([signal, queues.closed]),
      log: this.#log,
    });
  }
}

type Work<T> = {
  /** For the log. */
  name: string;
  /** Finds the queue; again after each failure. */
  open: () => Promise<Queue>;
  unpack: (bytes: Uint8Array) => T;
  handler: Worker<T>;
  /** A job not heard of for this long goes to another worker. */
  ackWaitMs: number;
  signal: AbortSignal;
  log: Log;
};

/** Takes one job after another until the signal aborts. A queue that does not answer is tried again. */
async function takeJobs<T>(work: Work<T>): Promise<void> {
  const { signal, log, name } = work;
  for (let failures = 0; !signal.aborted; ) {
    try {
      const queue = await work.open();
      while (!signal.aborted) {
        const next = queue.next();
        const delivery = await unlessOver(next, signal);
        failures = 0;
        if (delivery === 'over') giveBack(next);
        else if (delivery) await handle(delivery, work);
      }
    } catch (err) {
      if (signal.aborted) return;
      failures += 1;
      const ms = Math.min(5_000, 200 * 2 ** failures) * (0.5 + Math.random() / 2);
      log.warn({ err, queue: name, ms }, 'the queue does not answer; trying again');
      await sleep(ms, undefined, { signal }).catch(() => {});
    }
  }
}

/** Leaves nothing behind on the signal, which outlives all looks at the queue. */
async function unlessOver<T>(next: Promise<T>, signal: AbortSignal): Promise<T | 'over'> {
  if (signal.aborted) return 'over';
  const { promise, resolve } = Promise.withResolvers<'over'>();
  const end = () => resolve('over');
  signal.addEventListener('abort', end, { once: true });
  try {
    return await Promise.race([next, promise]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

/** What arrives after the end is for another worker. */
function giveBack(next: Promise<Delivery | null>): void {
  next.then(
    (late) => late?.nak(0),
    () => {},
  );
}

async function handle<T>(delivery: Delivery, { unpack, handler, ackWaitMs, name, log }: Work<T>) {
  const beat = setInterval(() => delivery.working(), ackWaitMs / 4).unref();
  try {
    const verdict = await handler(unpack(delivery.data), delivery.info.redeliveryCount);
    if (verdict === 'done') await delivery.ackAck().catch(() => delivery.ack());
    else rest(delivery, verdict.again);
  } catch (err) {
    log.error({ err, queue: name }, 'a job failed');
    if (Fault.is(err, 'malformed')) delivery.term();
    else rest(delivery, 2_000 + Math.random() * 2_000);
  } finally {
    clearInterval(beat);
  }
}

/** In whole milliseconds: the server takes any other delay for none. */
function rest(delivery: Delivery, ms: number): void {
  delivery.nak(Math.round(ms));
}

import { backoffMs } from '../async/backoff.ts';
import { BoundedMap } from '../contract/bounded-map.ts';
import { Fault } from '../contract/fault.ts';
import type { Log } from '../contract/log.ts';
import type { Pulled } from './pull.ts';
import type { JobOutcome, Queue, Taken } from './store.ts';
import { TAKE_MS } from './store-requests.ts';
import { type ConsumerName, consumers } from './streams.ts';

/** Failures of a job after which it is dropped. */
export const MAX_JOB_FAILURES = 6;
/** Times that a job may be lost with its worker, each until its `ackWaitMs` is over; then it is dropped. */
export const MAX_LOST = 12;
const RETRY = { firstMs: 4_000, maxMs: 60_000 };
/** Max jobs whose attempts are counted. */
const MAX_COUNTED = 10_000;

/** Ack subject of a job: captures its sequence and its time of storing, which differs in a store created again. */
const TOKEN = new RegExp(
  String.raw`^\$JS\.ACK\.(?:[^.\s]+\.[^.\s]+\.)?JOBS\.(?:${Object.keys(consumers).join('|')})\.\d+\.(\d+)\.\d+\.(\d+)\.\d+(?:\.[^.\s]+)?$`,
);

/** Operations on a queue of JetStream. */
export type JobQueueDeps = {
  submit(bytes: Uint8Array): Promise<void>;
  pull(waitMs: number): Promise<Pulled | undefined>;
  /** Acknowledges a job; resolves when the server has received it. */
  confirm(token: string): Promise<void>;
  publish(token: string, word: string): void;
  count(): Promise<number>;
};

/** `first`: deliveries when this process first saw the job. `returned`: times it was returned without a failure. */
type Attempts = { first: number; returned: number; failures: number };
export type Dropped = { queue: ConsumerName; attempts: number; reason: string };

/** Redelivers jobs until they are done. A job that no worker can do is dropped, and the drop is reported. */
export class JobQueue implements Queue {
  readonly #name: ConsumerName;
  readonly #deps: JobQueueDeps;
  readonly #dropped: (dropped: Dropped) => void;
  readonly #log: Log;
  readonly #attempts = new BoundedMap<Attempts>(MAX_COUNTED);

  constructor(name: ConsumerName, deps: JobQueueDeps, dropped: (dropped: Dropped) => void, log: Log) {
    this.#name = name;
    this.#deps = deps;
    this.#dropped = dropped;
    this.#log = log;
  }

  submit(bytes: Uint8Array): Promise<void> {
    return this.#deps.submit(bytes);
  }

  async take(): Promise<Taken | undefined> {
    for (const end = performance.now() + TAKE_MS; ; ) {
      const waitMs = Math.ceil(end - performance.now());
      const pulled = waitMs > 0 ? await this.#deps.pull(waitMs) : undefined;
      if (!pulled) return undefined;
      const { token, deliveries, data } = pulled;
      const { first, returned, failures } = this.#attemptsOf(keyOf(token), deliveries);
      const lost = deliveries - first - returned - failures;
      if (lost < MAX_LOST) return { token, attempt: deliveries - 1, bytes: data };
      this.#drop(token, deliveries, `${lost} workers took the job and did not acknowledge it`);
    }
  }

  async settle(token: string, outcome: JobOutcome): Promise<void> {
    const key = keyOf(token);
    switch (outcome.kind) {
      case 'done':
        this.#attempts.delete(key);
        return this.#deps.confirm(token);
      case 'working':
        return this.#deps.publish(token, '+WPI');
      case 'again':
        this.#attemptsOf(key).returned += 1;
        return this.#redeliver(token, outcome.ms);
      case 'failed': {
        const attempts = this.#attemptsOf(key);
        attempts.failures += 1;
        const { failures } = attempts;
        if (outcome.final || failures >= MAX_JOB_FAILURES) {
          return this.#drop(token, failures, outcome.reason);
        }
        return this.#redeliver(token, backoffMs(failures, RETRY));
      }
    }
  }

  backlog(): Promise<number> {
    return this.#deps.count();
  }

  /** Rounds to whole milliseconds: the server treats any other delay as none. */
  #redeliver(token: string, ms: number): void {
    this.#deps.publish(token, `-NAK ${JSON.stringify({ delay: Math.round(ms) * 1_000_000 })}`);
  }

  #drop(token: string, attempts: number, reason: string): void {
    this.#deps.publish(token, '+TERM');
    this.#attempts.delete(keyOf(token));
    this.#log.error({ queue: this.#name, attempts, reason }, 'job dropped');
    this.#dropped({ queue: this.#name, attempts, reason });
  }

  #attemptsOf(key: string, deliveries = 1): Attempts {
    let attempts = this.#attempts.get(key);
    if (!attempts) {
      attempts = { first: deliveries, returned: 0, failures: 0 };
      this.#attempts.set(key, attempts);
    }
    return attempts;
  }
}

/** @throws Fault `malformed` */
function keyOf(token: string): string {
  const [, sequence, stored] = TOKEN.exec(token) ?? [];
  if (sequence === undefined) throw new Fault('malformed', '/token: not issued by the queue');
  return `${sequence}.${stored}`;
}

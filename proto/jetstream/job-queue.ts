import { backoffMs } from '../async/backoff.ts';
import { Fault } from '../contract/fault.ts';
import type { Log } from '../contract/log.ts';
import type { Pulled } from './pull.ts';
import type { Outcome, Queue, Taken } from './store.ts';
import { TAKE_MS } from './store-requests.ts';
import type { ConsumerName } from './streams.ts';

/** A worker that could not do a job gives it back; after so many times it is dropped. */
export const MAX_FAILURES = 6;
/** So often a job may disappear with its worker, each time until its `ackWaitMs` is over. */
export const MAX_LOST = 12;
const RETRY = { firstMs: 4_000, maxMs: 60_000 };
/** Jobs whose history is known at a time; the oldest is forgotten first. */
const MAX_KNOWN = 10_000;

/** Where a job is confirmed: its sequence, and when it was stored, which tells it from one of a store made anew. */
const TOKEN =
  /^\$JS\.ACK\.(?:[^.\s]+\.[^.\s]+\.)?JOBS\.(?:down|up)\.\d+\.(\d+)\.\d+\.(\d+)\.\d+(?:\.[^.\s]+)?$/;

/** How the queue of JetStream is used. */
export type Line = {
  submit(bytes: Uint8Array): Promise<void>;
  pull(waitMs: number): Promise<Pulled | undefined>;
  /** Resolves when the server has the word. */
  confirm(token: string): Promise<void>;
  say(token: string, word: string): void;
  count(): Promise<number>;
};

/** `returned`: given back without a failure. `first`: how often it had been given out when it was first seen here. */
type Known = { first: number; returned: number; failures: number };
export type Dropped = { queue: ConsumerName; attempts: number; reason: string };

/** Jobs go out again until they are done; one that nobody can do is dropped, and said. */
export class JobQueue implements Queue {
  readonly #name: ConsumerName;
  readonly #line: Line;
  readonly #dropped: (dropped: Dropped) => void;
  readonly #log: Log;
  readonly #known = new Map<string, Known>();

  constructor(name: ConsumerName, line: Line, dropped: (dropped: Dropped) => void, log: Log) {
    this.#name = name;
    this.#line = line;
    this.#dropped = dropped;
    this.#log = log;
  }

  submit(bytes: Uint8Array): Promise<void> {
    return this.#line.submit(bytes);
  }

  async take(): Promise<Taken | undefined> {
    for (const end = Date.now() + TAKE_MS; ; ) {
      const waitMs = end - Date.now();
      const pulled = waitMs > 0 ? await this.#line.pull(waitMs) : undefined;
      if (!pulled) return undefined;
      const { token, deliveries, data } = pulled;
      const known = this.#know(keyOf(token), deliveries);
      const lost = deliveries - known.first - known.returned - known.failures;
      if (lost < MAX_LOST) return { token, attempt: deliveries - 1, bytes: data };
      this.#drop(token, deliveries, `${lost} workers took it and never answered`);
    }
  }

  async settle(token: string, outcome: Outcome): Promise<void> {
    const key = keyOf(token);
    switch (outcome.kind) {
      case 'done':
        this.#known.delete(key);
        return this.#line.confirm(token);
      case 'working':
        return this.#line.say(token, '+WPI');
      case 'again':
        this.#know(key).returned += 1;
        return this.#again(token, outcome.ms);
      case 'failed': {
        const known = this.#know(key);
        known.failures += 1;
        const { failures } = known;
        if (outcome.final || failures >= MAX_FAILURES) {
          return this.#drop(token, failures, outcome.reason);
        }
        return this.#again(token, backoffMs(failures, RETRY));
      }
    }
  }

  backlog(): Promise<number> {
    return this.#line.count();
  }

  /** In whole milliseconds: the server takes any other delay for none. */
  #again(token: string, ms: number): void {
    this.#line.say(token, `-NAK ${JSON.stringify({ delay: Math.round(ms) * 1_000_000 })}`);
  }

  #drop(token: string, attempts: number, reason: string): void {
    this.#line.say(token, '+TERM');
    this.#known.delete(keyOf(token));
    this.#log.error({ queue: this.#name, attempts, reason }, 'a job is dropped: nobody can do it');
    this.#dropped({ queue: this.#name, attempts, reason });
  }

  #know(key: string, deliveries = 1): Known {
    let known = this.#known.get(key);
    if (!known) {
      known = { first: deliveries, returned: 0, failures: 0 };
      this.#known.set(key, known);
      for (const oldest of this.#known.keys()) {
        if (this.#known.size <= MAX_KNOWN) break;
        this.#known.delete(oldest);
      }
    }
    return known;
  }
}

/** @throws Fault `malformed` */
function keyOf(token: string): string {
  const [, sequence, stored] = TOKEN.exec(token) ?? [];
  if (sequence === undefined) throw new Fault('malformed', '/token: not one that the queue gave out');
  return `${sequence}.${stored}`;
}

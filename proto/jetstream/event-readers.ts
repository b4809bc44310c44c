import { Fault } from '../contract/fault.ts';
import type { From, Stored } from './archive.ts';
import type { Pulled, PullOptions } from './pull.ts';
import { nanos } from './stream-table.ts';

/**
 * Pages of the stream of events. Each query names its position. An idle JetStream consumer at that position is used
 * again, so that sequential reading creates no new ones. The number of consumers is bounded for all users together.
 */

/** Max idle consumers between two pages. */
const MAX_IDLE = 16;
/** How long after its last page an idle consumer is used again, in ms; the server deletes it later. */
export const KNOWN_MS = 15_000;
/** Max pages read concurrently, in total and per user. */
const MAX_READING = 48;
const MAX_READING_PER_USER = 16;

export type HistoryQuery = {
  from: From;
  subject: string | undefined;
  limit: number;
  maxBytes: number;
  waitMs: number;
};

/** Operations on consumers of the stream of events. */
export type EventReadersDeps = {
  make(from: From, subject: string | undefined): Promise<string>;
  pull(name: string, options: PullOptions): Promise<Pulled[]>;
  drop(name: string): void;
};

/** `delivered`: messages so far. `used`: end of its last page, by `performance.now()`. */
type Reader = { name: string; delivered: number; used: number };

/** Reads pages, and owns the idle consumers. */
export class EventReaders {
  readonly #deps: EventReadersDeps;
  /** By position and subject, the longest idle first. */
  readonly #idle = new Map<string, Reader>();
  /** Pages being read, by user. */
  readonly #reading = new Map<string, number>();

  constructor(deps: EventReadersDeps) {
    this.#deps = deps;
  }

  /** @throws Fault `too-many` */
  async page(query: HistoryQuery, user: string): Promise<Stored[]> {
    const total = [...this.#reading.values()].reduce((sum, count) => sum + count, 0);
    const ofUser = this.#reading.get(user) ?? 0;
    if (total >= MAX_READING || ofUser >= MAX_READING_PER_USER) {
      throw new Fault('too-many', `${ofUser || total} pages of events are already being read: retry later`);
    }
    this.#reading.set(user, ofUser + 1);
    try {
      const idle = this.#takeIdle(query);
      if (idle) {
        try {
          return await this.#read(idle, query);
        } catch {
          // Deleted by the server, or out of sync: a new consumer starts at the same position.
          this.#deps.drop(idle.name);
        }
      }
      const name = await this.#deps.make(query.from, query.subject);
      try {
        return await this.#read({ name, delivered: 0, used: 0 }, query);
      } catch (error) {
        this.#deps.drop(name);
        throw error;
      }
    } finally {
      const left = (this.#reading.get(user) ?? 1) - 1;
      if (left > 0) this.#reading.set(user, left);
      else this.#reading.delete(user);
    }
  }

  async #read(reader: Reader, { from, subject, limit, maxBytes, waitMs }: HistoryQuery): Promise<Stored[]> {
    const pull = (options: PullOptions) => this.#deps.pull(reader.name, options);
    let messages = await pull({ batch: limit, maxBytes, waitMs: 0 });
    if (messages.length === 0) {
      // An event that is larger than a page is pulled alone.
      messages = await pull({ batch: 1, waitMs });
      if (messages.length > 0 && limit > 1) {
        const room = maxBytes - (messages[0] as Pulled).data.byteLength;
        const more = { batch: limit - 1, maxBytes: room, waitMs: 0 };
        if (room > 0) messages = messages.concat(await pull(more));
      }
    }
    for (const { delivered } of messages) {
      reader.delivered += 1;
      if (delivered !== reader.delivered) {
        throw new Error('some events were lost in delivery');
      }
    }
    const next = messages.length > 0 ? { sequence: (messages.at(-1) as Pulled).sequence + 1 } : from;
    this.#addIdle(keyOf(next, subject), reader);
    return messages.map(({ sequence, subject, data }) => ({ sequence, subject, data }));
  }

  #takeIdle({ from, subject }: HistoryQuery): Reader | undefined {
    const key = keyOf(from, subject);
    const reader = this.#idle.get(key);
    this.#idle.delete(key);
    if (!reader || performance.now() - reader.used < KNOWN_MS) return reader;
    this.#deps.drop(reader.name);
    return undefined;
  }

  /** Forgets all idle consumers: the server may have none of them any more. */
  forget(): void {
    this.#idle.clear();
  }

  #addIdle(key: string, reader: Reader): void {
    reader.used = performance.now();
    const other = this.#idle.get(key);
    if (other) this.#deps.drop(other.name);
    this.#idle.delete(key);
    this.#idle.set(key, reader);
    for (const [oldest, { name }] of this.#idle) {
      if (this.#idle.size <= MAX_IDLE) break;
      this.#idle.delete(oldest);
      this.#deps.drop(name);
    }
  }
}

const keyOf = (from: From, subject: string | undefined): string => `${JSON.stringify(from)} ${subject ?? ''}`;

/** JetStream's configuration of a reader: an ephemeral consumer in memory, without acks. */
export function readerOf(from: From, subject: string | undefined) {
  const start =
    'sequence' in from
      ? { deliver_policy: 'by_start_sequence', opt_start_seq: Math.max(1, from.sequence) }
      : { deliver_policy: 'by_start_time', opt_start_time: new Date(from.time).toISOString() };
  return {
    ...start,
    ...(subject && { filter_subject: subject }),
    ack_policy: 'none',
    mem_storage: true,
    inactive_threshold: nanos(2 * KNOWN_MS),
  };
}

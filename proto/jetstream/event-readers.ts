import { Fault } from '../contract/fault.ts';
import type { From, Stored } from './archive.ts';
import type { Pulled, PullOptions } from './pull.ts';
import { nanos } from './table.ts';

/**
 * Pages of the stream of events. Whoever reads names the place each time; a consumer of JetStream that stands there
 * already is used again, so that reading on costs no new one. Their number is bounded, whoever asks.
 */

/** Consumers that rest between two pages. */
const MAX_RESTING = 16;
/** So long after its last page a consumer is taken for known to the server, which forgets it later, in ms. */
export const KNOWN_MS = 15_000;
/** Pages that are read at a time, in all and for each user. */
const MAX_READING = 48;
const MAX_READING_EACH = 16;

export type PageQuery = {
  from: From;
  subject: string | undefined;
  limit: number;
  maxBytes: number;
  waitMs: number;
};

/** How consumers of the stream of events are made and used. */
export type Consumers = {
  make(from: From, subject: string | undefined): Promise<string>;
  pull(name: string, options: PullOptions): Promise<Pulled[]>;
  drop(name: string): void;
};

/** `used`: when, by the clock of the process. */
type Reader = { name: string; delivered: number; used: number };

export class EventReaders {
  readonly #consumers: Consumers;
  /** By the subject and the next sequence; those that rest longest come first. */
  readonly #resting = new Map<string, Reader>();
  readonly #reading = new Map<string, number>();

  constructor(consumers: Consumers) {
    this.#consumers = consumers;
  }

  /** @throws Fault `too-many` */
  async page(query: PageQuery, user: string): Promise<Stored[]> {
    const all = [...this.#reading.values()].reduce((sum, count) => sum + count, 0);
    const own = this.#reading.get(user) ?? 0;
    if (all >= MAX_READING || own >= MAX_READING_EACH) {
      throw new Fault('too-many', `${own || all} pages of events are being read already: ask again later`);
    }
    this.#reading.set(user, own + 1);
    try {
      const resting = this.#takeResting(query);
      if (resting) {
        try {
          return await this.#read(resting, query);
        } catch {
          // Forgotten by the server, or out of step: a new one begins at the same place.
          this.#consumers.drop(resting.name);
        }
      }
      const name = await this.#consumers.make(query.from, query.subject);
      try {
        return await this.#read({ name, delivered: 0, used: 0 }, query);
      } catch (error) {
        this.#consumers.drop(name);
        throw error;
      }
    } finally {
      const left = (this.#reading.get(user) ?? 1) - 1;
      if (left > 0) this.#reading.set(user, left);
      else this.#reading.delete(user);
    }
  }

  async #read(reader: Reader, { from, subject, limit, maxBytes, waitMs }: PageQuery): Promise<Stored[]> {
    const pull = (options: PullOptions) => this.#consumers.pull(reader.name, options);
    const some = (waitMs: number) => pull({ batch: limit, maxBytes, waitMs });
    let found = await some(0);
    if (found.length === 0) {
      // One that is larger than a page comes alone.
      found = await pull({ batch: 1, waitMs });
      if (found.length > 0 && limit > 1) {
        const room = maxBytes - (found[0] as Pulled).data.byteLength;
        const more = { batch: limit - 1, maxBytes: room, waitMs: 0 };
        if (room > 0) found = found.concat(await pull(more));
      }
    }
    for (const { delivered } of found) {
      reader.delivered += 1;
      if (delivered !== reader.delivered) {
        throw new Error('some events were lost on their way');
      }
    }
    const next = found.length > 0 ? { sequence: (found.at(-1) as Pulled).sequence + 1 } : from;
    this.#rest(keyOf(next, subject), reader);
    return found.map(({ sequence, subject, data }) => ({ sequence, subject, data }));
  }

  #takeResting({ from, subject }: PageQuery): Reader | undefined {
    const key = keyOf(from, subject);
    const reader = this.#resting.get(key);
    this.#resting.delete(key);
    if (!reader || performance.now() - reader.used < KNOWN_MS) return reader;
    this.#consumers.drop(reader.name);
    return undefined;
  }

  /** The server may have none of them any more. */
  forget(): void {
    this.#resting.clear();
  }

  #rest(key: string, reader: Reader): void {
    reader.used = performance.now();
    const other = this.#resting.get(key);
    if (other) this.#consumers.drop(other.name);
    this.#resting.delete(key);
    this.#resting.set(key, reader);
    for (const [oldest, { name }] of this.#resting) {
      if (this.#resting.size <= MAX_RESTING) break;
      this.#resting.delete(oldest);
      this.#consumers.drop(name);
    }
  }
}

const keyOf = (from: From, subject: string | undefined): string => `${JSON.stringify(from)} ${subject ?? ''}`;

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

import { isDeepStrictEqual } from 'node:util';
import type { Static, TSchema } from '@sinclair/typebox';
import type { Bus } from '#proto/bus/bus.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import { manifestCommitted, manifestDeleted, tagDeleted, tagMoved } from '#proto/content/content-events.ts';
import type { Event } from '#proto/contract/contract.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import type { Log } from '#proto/contract/log.ts';
import { linkPaused, linkResumed } from '#proto/sync/pause.ts';
import { byAccount } from '../audit/caller-context.ts';
import { type Change, drop, type Metadata, put } from '../metadata/metadata.ts';
import type { OutboxRecord } from '../metadata/records.ts';

/*
 * History: the stream of events on the bus, from which webhooks and other subscribers can replay.
 *
 *   event-outbox.ts    `EventOutbox`, the transactional outbox of content events
 *   history-watch.ts   detects a stream that was lost, or replaced by an older copy
 *   history-room.ts    limits what children may add, and trims the stream before it is full
 *   history-share.ts   decides whose events are trimmed
 *   history-age.ts     how long events are retained
 *
 * A content event is stored in the batch of its change, published after it, and deleted from the outbox once the stream
 * has acknowledged it. After a crash, `resume` publishes what is left in the outbox.
 */

/** How long events that the stream has wait for others, to be deleted together, in ms. */
const DROP_MS = 100;
/** Max events at the end of the stream that are compared with the outbox. */
const MAX_TAIL = 2_000;

const events = new Map<string, Event>(
  [tagMoved, tagDeleted, manifestCommitted, manifestDeleted, linkPaused, linkResumed].map((one) => [
    one.type,
    one as Event,
  ]),
);

/**
 * Transactional outbox of content events. Each is written in the batch of its change and stays until the stream has it,
 * so that subscribers receive every change, even if storage or the bus is killed in between.
 */
export class EventOutbox implements AsyncDisposable {
  readonly #metadata: Metadata;
  readonly #publish: Bus['publish'];
  #next: number;
  /** Events that the stream has, and that are not deleted yet. */
  #acknowledged: number[] = [];
  #dropping: NodeJS.Timeout | undefined;

  static async open(metadata: Metadata, publish: Bus['publish']): Promise<EventOutbox> {
    let last = 0;
    for await (const [key] of metadata.outbox()) last = Number(key);
    return new EventOutbox(metadata, publish, last + 1);
  }

  /** @param next first unused number */
  constructor(metadata: Metadata, publish: Bus['publish'], next = 1) {
    this.#metadata = metadata;
    this.#publish = publish;
    this.#next = next;
  }

  /** Write `changes` in the batch of the change. Call `publish` once it is written. */
  prepare<T extends TSchema>(event: Event<T>, facts: Static<T>): { changes: Change[]; publish: () => void } {
    const number = this.#next;
    this.#next += 1;
    const data = { ...(facts as object), ...byAccount() } as Static<T>;
    return {
      changes: put.outbox(number, { type: event.type, data, at: Date.now() }),
      publish: () => this.#publish(event, data, () => this.#acknowledge(number)),
    };
  }

  /**
   * Publishes the events that earlier starts of storage did not see stored, unless the stream has them. Call before any
   * request is answered: this preserves the order of events.
   */
  async resume(bus: HistoryReader, log: Log): Promise<void> {
    const pending: [number, OutboxRecord][] = [];
    for await (const [key, record] of this.#metadata.outbox()) pending.push([Number(key), record]);
    if (pending.length === 0) return;
    const tail = await tailOf(bus).catch((err) => {
      log.warn({ err }, 'latest events could not be read; some may be published twice');
      return [];
    });
    let republished = 0;
    for (const [number, { type, data, at }] of pending) {
      const event = events.get(type);
      const index = tail.findIndex(
        (one) =>
          one.type === `terrace.${type}` && Date.parse(one.time) >= at && isDeepStrictEqual(one.data, data),
      );
      if (index >= 0) tail.splice(index, 1);
      if (index >= 0 || !event) this.#acknowledge(number);
      else {
        republished += 1;
        this.#publish(event, data as never, () => this.#acknowledge(number));
      }
    }
    log.info(
      { again: republished, found: pending.length - republished },
      'resumed events without acknowledgement from the outbox',
    );
  }

  /** The stream has this event: it is deleted soon, with others. */
  #acknowledge(number: number): void {
    this.#acknowledged.push(number);
    this.#dropping ??= setTimeout(() => void this.#drop(), DROP_MS).unref();
  }

  async #drop(): Promise<void> {
    clearTimeout(this.#dropping);
    this.#dropping = undefined;
    const numbers = this.#acknowledged;
    this.#acknowledged = [];
    // If it fails, the next start compares them with the stream.
    if (numbers.length > 0) await this.#metadata.writeUnsynced(numbers.flatMap(drop.outbox)).catch(() => {});
  }

  /** Deletes what the stream has. Call it before the metadata is closed. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#drop();
  }
}

/** The last events of this layer, in order. */
async function tailOf(bus: HistoryReader): Promise<Envelope[]> {
  const { first, last } = await bus.archive.bounds();
  const tail: Envelope[] = [];
  for await (const past of bus.history({ since: Math.max(first, last - MAX_TAIL) })) {
    if ('event' in past && past.child === undefined) tail.push(past.event);
  }
  return tail;
}

import { isDeepStrictEqual } from 'node:util';
import type { Static, TSchema } from '@sinclair/typebox';
import type { Bus } from '#proto/bus/bus.ts';
import { manifestCommitted, manifestDeleted, tagDeleted, tagMoved } from '#proto/content/content-events.ts';
import type { Event } from '#proto/contract/contract.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import type { Log } from '#proto/contract/log.ts';
import { byAccount } from '../audit/asking.ts';
import { type Change, drop, type Metadata, put } from '../metadata/metadata.ts';
import type { AnnouncementRecord } from '../metadata/records.ts';

/** So many events at the end of the stream are compared with what was not seen to be stored. */
const TAIL = 2_000;

const events = new Map<string, Event>(
  [tagMoved, tagDeleted, manifestCommitted, manifestDeleted].map((one) => [one.type, one as Event]),
);

/**
 * Events of content: each is written in the batch of the change that it tells of, and stays until the stream has it. So
 * whoever is told by them hears of every change, also where storage or the bus was killed in between.
 */
export class EventOutbox {
  readonly #metadata: Metadata;
  readonly #publish: Bus['publish'];
  #next: number;
  #stored: number[] = [];
  #noting = false;

  static async open(metadata: Metadata, publish: Bus['publish']): Promise<EventOutbox> {
    let last = 0;
    for await (const [key] of metadata.announcements()) last = Number(key);
    return new EventOutbox(metadata, publish, last + 1);
  }

  /** @param next no number from there on is in use */
  constructor(metadata: Metadata, publish: Bus['publish'], next = 1) {
    this.#metadata = metadata;
    this.#publish = publish;
    this.#next = next;
  }

  /** `changes` are for the batch, `tell` for when it is written. */
  of<T extends TSchema>(event: Event<T>, facts: Static<T>): { changes: Change[]; tell: () => void } {
    const number = this.#next;
    this.#next += 1;
    const data = { ...(facts as object), ...byAccount() } as Static<T>;
    return {
      changes: put.announcement(number, { type: event.type, data, at: Date.now() }),
      tell: () => this.#publish(event, data, () => void this.#note(number)),
    };
  }

  /**
   * Says what a storage before this one said, or was about to say, and did not see stored: before anything is answered,
   * so in the order in which it happened. What the stream has of it is not said again.
   */
  async resume(bus: Pick<Bus, 'archive' | 'history'>, log: Log): Promise<void> {
    const left: [number, AnnouncementRecord][] = [];
    for await (const [key, record] of this.#metadata.announcements()) left.push([Number(key), record]);
    if (left.length === 0) return;
    const there = await tailOf(bus).catch((err) => {
      log.warn({ err }, 'the events of the last moments can not be read: some may be said twice');
      return [];
    });
    let again = 0;
    for (const [number, { type, data, at }] of left) {
      const event = events.get(type);
      const found = there.findIndex(
        (one) =>
          one.type === `terrace.${type}` && Date.parse(one.time) >= at && isDeepStrictEqual(one.data, data),
      );
      if (found >= 0) there.splice(found, 1);
      if (found >= 0 || !event) void this.#note(number);
      else {
        again += 1;
        this.#publish(event, data as never, () => void this.#note(number));
      }
    }
    log.info({ again, found: left.length - again }, 'events that were not seen stored before the start');
  }

  /** One batch after another takes out what the stream has. */
  async #note(number: number): Promise<void> {
    this.#stored.push(number);
    if (this.#noting) return;
    this.#noting = true;
    try {
      while (this.#stored.length > 0) {
        const numbers = this.#stored;
        this.#stored = [];
        await this.#metadata.note(numbers.flatMap(drop.announcement));
      }
    } catch {
      // Storage ends: the next one compares them with the stream.
    } finally {
      this.#noting = false;
    }
  }
}

/** The last events of this layer, in their order. */
async function tailOf(bus: Pick<Bus, 'archive' | 'history'>): Promise<Envelope[]> {
  const { first, last } = await bus.archive.kept();
  const found: Envelope[] = [];
  for await (const past of bus.history({ since: Math.max(first, last - TAIL) })) {
    if ('event' in past && past.child === undefined) found.push(past.event);
  }
  return found;
}

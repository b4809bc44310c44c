import type { Static, TSchema } from '@sinclair/typebox';
import { check, type Event, pack, unpack } from '../contract/contract.ts';
import { Envelope, type ReceivedEvent } from '../contract/envelope.ts';
import { Fault } from '../contract/fault.ts';
import type { Log } from '../contract/log.ts';
import { traceField } from '../tracing/traced.ts';
import type { Invalidations } from './invalidations.ts';
import { RetryQueue } from './retry-queue.ts';

/** Process that publishes the events. */
export type EventOrigin = { layer: string; instance: string; log: Log };

export type EventsDeps = {
  /** Stores an event, once per `id`. @returns its sequence */
  send(subject: string, id: string, bytes: Uint8Array): Promise<number>;
  publish: Invalidations['publish'];
  /** @returns a function that unsubscribes */
  subscribe(subject: string, handler: (bytes: Uint8Array) => void): () => void;
};

/** Max events of a process that are on their way to the stream at a time. */
const MAX_PARALLEL = 32;

/** Position of an event in the stream. */
export type StoredEvent = { sequence: number; id: string };

/** Publishes events and delivers them to listeners. */
export class Events {
  readonly #origin: EventOrigin;
  readonly #deps: EventsDeps;
  readonly #queue: RetryQueue<{
    subject: string;
    id: string;
    bytes: Uint8Array;
    stored: (() => void) | undefined;
  }>;
  #serial = 0;
  /** Last event that was stored. */
  stored: StoredEvent | undefined;

  constructor(origin: EventOrigin, deps: EventsDeps) {
    this.#origin = origin;
    this.#deps = deps;
    this.#queue = new RetryQueue(
      async ({ subject, id, bytes, stored }) => {
        try {
          this.stored = { sequence: await deps.send(subject, id, bytes), id };
        } catch (err) {
          // A retry would fail too, and would hold up the events behind it.
          if (!Fault.is(err, 'malformed', 'too-large', 'denied')) throw err;
          origin.log.error({ err, subject, id }, 'event rejected by the bus; dropped');
        }
        stored?.();
      },
      (count, err) => origin.log.warn({ err, count }, 'events dropped'),
      undefined,
      MAX_PARALLEL,
    );
  }

  /**
   * Never throws and never waits. An event that violates its schema is dropped at once; one that can't be stored is
   * dropped when the queue is full or closed. Both are logged.
   * @param stored is called when the event is stored, or is lost because it violates its schema or the bus refuses it
   */
  publish<T extends TSchema>(event: Event<T>, data: Static<T>, stored?: () => void): void {
    this.#serial += 1;
    const { layer, instance } = this.#origin;
    const id = `${instance}-${this.#serial}`;
    const envelope: Envelope = {
      specversion: '1.0',
      id,
      source: `/layers/${layer}/${instance}`,
      type: `terrace.${event.type}`,
      time: new Date().toISOString(),
      layer,
      ...traceField(),
      data,
    };
    let bytes: Uint8Array;
    try {
      // An invalidation carries the data alone: packing them has checked them.
      if (event.immediate) this.#deps.publish(event, data);
      else check(event.data, data);
      bytes = pack(Envelope, envelope);
    } catch (err) {
      const { message } = err as Error;
      this.#origin.log.error(
        { err, event: event.type },
        `event does not match its schema; dropped: ${message}`,
      );
      stored?.();
      return;
    }
    this.#queue.add({ subject: `events.${event.type}`, id, bytes, stored });
  }

  /** Subscribes to an event. @returns a function that unsubscribes */
  listen<T extends TSchema>(
    event: Event<T>,
    handler: (received: ReceivedEvent<Static<T>>) => void,
  ): () => void {
    return this.#deps.subscribe(`events.${event.type}`, (bytes) => {
      try {
        const envelope = unpack(Envelope, bytes);
        handler({ ...envelope, data: check(event.data, envelope.data) });
      } catch (err) {
        this.#origin.log.warn({ err, event: event.type }, 'event handler failed');
      }
    });
  }

  /** Resolves when all queued events are sent or dropped. */
  close(): Promise<void> {
    return this.#queue.close();
  }
}

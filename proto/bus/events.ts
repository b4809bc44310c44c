import type { Static, TSchema } from '@sinclair/typebox';
import { check, type Event, pack, unpack } from '../contract/contract.ts';
import { Envelope, type ReceivedEvent } from '../contract/envelope.ts';
import { Fault } from '../contract/fault.ts';
import type { Log } from '../contract/log.ts';
import type { Invalidations } from './invalidations.ts';
import { Outbox } from './outbox.ts';

/** Who says the events. */
export type EventOrigin = { layer: string; instance: string; log: Log };

export type Channel = {
  /** Stores one event, and tells its sequence. The same `id` twice is stored once. */
  send(subject: string, id: string, bytes: Uint8Array): Promise<number>;
  say: Invalidations['say'];
  /** Returns what ends it. */
  hear(subject: string, heard: (bytes: Uint8Array) => void): () => void;
};

/** Where an event is in the stream. */
export type StoredEvent = { sequence: number; id: string };

/** What happened: said once, heard by anyone. */
export class Events {
  readonly #speaker: EventOrigin;
  readonly #channel: Channel;
  readonly #outbox: Outbox<{
    subject: string;
    id: string;
    bytes: Uint8Array;
    stored: (() => void) | undefined;
  }>;
  #serial = 0;
  /** The last one that was stored. */
  stored: StoredEvent | undefined;

  constructor(speaker: EventOrigin, channel: Channel) {
    this.#speaker = speaker;
    this.#channel = channel;
    this.#outbox = new Outbox(
      async ({ subject, id, bytes, stored }) => {
        try {
          this.stored = { sequence: await channel.send(subject, id, bytes), id };
        } catch (err) {
          // Trying again changes nothing, and keeps back what is behind it.
          if (!Fault.is(err, 'malformed', 'too-large', 'denied')) throw err;
          speaker.log.error({ err, subject, id }, 'an event is refused by the bus, and is lost');
        }
        stored?.();
      },
      (count, err) => speaker.log.warn({ err, count }, 'events were dropped'),
    );
  }

  /**
   * Never fails and never waits: an event that can't be stored is dropped after a while, one that is not as declared at
   * once, and both are logged.
   * @param stored is told when the stream has it, or when it is lost because it is not as declared
   */
  publish<T extends TSchema>(event: Event<T>, data: Static<T>, stored?: () => void): void {
    this.#serial += 1;
    const { layer, instance } = this.#speaker;
    const id = `${instance}-${this.#serial}`;
    const envelope: Envelope = {
      specversion: '1.0',
      id,
      source: `/layers/${layer}/${instance}`,
      type: `terrace.${event.type}`,
      time: new Date().toISOString(),
      layer,
      data,
    };
    let bytes: Uint8Array;
    try {
      if (event.atOnce) this.#channel.say(event, data);
      check(event.data, data);
      bytes = pack(Envelope, envelope);
    } catch (err) {
      const { message } = err as Error;
      this.#speaker.log.error(
        { err, event: event.type },
        `an event is not as declared, and is lost: ${message}`,
      );
      stored?.();
      return;
    }
    this.#outbox.add({ subject: `events.${event.type}`, id, bytes, stored });
  }

  /** Hears an event from now on. Returns what ends it. */
  listen<T extends TSchema>(event: Event<T>, handler: (heard: ReceivedEvent<Static<T>>) => void): () => void {
    return this.#channel.hear(`events.${event.type}`, (bytes) => {
      try {
        const envelope = unpack(Envelope, bytes);
        handler({ ...envelope, data: check(event.data, envelope.data) });
      } catch (err) {
        this.#speaker.log.warn({ err, event: event.type }, 'an event could not be handled');
      }
    });
  }

  /** Ends when all is sent. */
  close(): Promise<void> {
    return this.#outbox.close();
  }
}

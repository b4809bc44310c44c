import type { Static, TSchema } from '@sinclair/typebox';
import { type Event, pack, unpack } from '../contract/contract.ts';
import type { SendAnswer } from './responder.ts';

/** Prefix of the subjects of immediate events, and the subject which reports that some may have been missed. */
const NOW = 'now';
const MISSED = `${NOW}.missed`;

/** One connection: its messages are received in the order in which they were published, unless it breaks. */
export type InvalidationsDeps = {
  publish(subject: string, bytes?: Uint8Array): void;
  /** @returns a function that unsubscribes */
  subscribe(subject: string, handler: (bytes: Uint8Array) => void): () => void;
};

/**
 * Immediate events, for processes that cache the data that these events change: a cached value must not be served once
 * the change has been answered. In addition to its stored copy, which may arrive late, an immediate event is published
 * on the connection that sends the answer, before the answer. A process that completes a round trip to the server
 * (`Bus.flush`) after the answer has received the event: the server forwards the messages of one connection in order,
 * so the event was on its way to every subscriber before the answer was. Events that a broken connection may have lost
 * are reported as missed, before any answer that could depend on them.
 */
export class Invalidations {
  readonly #deps: InvalidationsDeps;
  readonly #gapHandlers = new Set<() => void>();
  #hasPublished = false;
  #breaks = 0;

  constructor(deps: InvalidationsDeps) {
    this.#deps = deps;
  }

  /**
   * Publishes an immediate event.
   * @throws Fault `malformed`, naming the field: subscribers are then notified that they missed an event
   */
  publish<T extends TSchema>(event: Event<T>, data: Static<T>): void {
    this.#hasPublished = true;
    let bytes: Uint8Array;
    try {
      bytes = pack(event.data, data);
    } catch (error) {
      this.#publish(MISSED);
      throw error;
    }
    this.#publish(`${NOW}.${event.type}`, bytes);
  }

  /** Subscribes to an immediate event, received without its envelope. @returns a function that unsubscribes */
  onInvalidation<T extends TSchema>(event: Event<T>, handler: (data: Static<T>) => void): () => void {
    if (!event.immediate) throw new Error(`${event.type} is not an immediate event`);
    return this.#deps.subscribe(`${NOW}.${event.type}`, (bytes) => {
      let data: Static<T>;
      try {
        data = unpack(event.data, bytes);
      } catch {
        return this.#notify();
      }
      handler(data);
    });
  }

  /** Calls the handler when an immediate event may have been missed: everything cached may be stale. */
  onGap(handler: () => void): void {
    if (this.#gapHandlers.size === 0) this.#deps.subscribe(MISSED, () => this.#notify());
    this.#gapHandlers.add(handler);
  }

  /** Call it when the connection has broken. */
  onDisconnect(): void {
    this.#breaks += 1;
    this.#notify();
  }

  /** Call it after a reconnect, before any request is received. */
  onReconnect(): void {
    if (this.#hasPublished) this.#publish(MISSED);
  }

  /**
   * Wraps the sending of the answer to a request that was just received. If the connection breaks before the answer,
   * events published for the request may be lost although the answer arrives: they are reported as missed first.
   */
  guardAnswer(send: SendAnswer): SendAnswer {
    const breaks = this.#breaks;
    return (bytes, kind) => {
      if (breaks !== this.#breaks) this.onReconnect();
      send(bytes, kind);
    };
  }

  #publish(subject: string, bytes?: Uint8Array): void {
    try {
      this.#deps.publish(subject, bytes);
    } catch {
      // The connection is closed: no answer is sent on it either.
    }
  }

  #notify(): void {
    for (const handler of this.#gapHandlers) handler();
  }
}

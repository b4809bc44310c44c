import type { Static, TSchema } from '@sinclair/typebox';
import { type Event, pack, unpack } from '../contract/contract.ts';
import type { Reply } from './calls.ts';

/** Subjects of what is said at once, and the one that says that some of it may not have come. */
const NOW = 'now';
const MISSED = `${NOW}.missed`;

/** One connection: what is said on it is heard in the order in which it was said, unless the connection breaks. */
export type Line = {
  say(subject: string, bytes?: Uint8Array): void;
  /** Returns what ends it. */
  hear(subject: string, heard: (bytes: Uint8Array) => void): () => void;
};

/**
 * Events for whoever remembers what they change, and must not answer with it once the change itself has been answered.
 * Beside its stored copy, which may come late, such an event is said plainly on the connection that the answer goes out
 * on, before it. Whoever then asks the server for a sign of life (`Bus.flush`) has heard it when that sign comes: the
 * server hands on what comes in on one connection in order, so the event was on its way to every listener before the
 * answer was. What a broken connection may have swallowed is told as missed, before any answer that could depend on it.
 */
export class Invalidations {
  readonly #line: Line;
  readonly #missed = new Set<() => void>();
  #speaks = false;
  #breaks = 0;

  constructor(line: Line) {
    this.#line = line;
  }

  /** @throws Fault `malformed`, naming the field: then all that it would have changed is told as missed */
  say<T extends TSchema>(event: Event<T>, data: Static<T>): void {
    this.#speaks = true;
    let bytes: Uint8Array;
    try {
      bytes = pack(event.data, data);
    } catch (error) {
      this.#say(MISSED);
      throw error;
    }
    this.#say(`${NOW}.${event.type}`, bytes);
  }

  /** Hears an event that is said at once, without its envelope. Returns what ends it. */
  onInvalidation<T extends TSchema>(event: Event<T>, handler: (data: Static<T>) => void): () => void {
    if (!event.atOnce) throw new Error(`${event.type} is not said at once`);
    return this.#line.hear(`${NOW}.${event.type}`, (bytes) => {
      let data: Static<T>;
      try {
        data = unpack(event.data, bytes);
      } catch {
        return this.#tell();
      }
      handler(data);
    });
  }

  /** Is told when something said at once may not have come: what is remembered may be wrong, all of it. */
  onGap(handler: () => void): void {
    if (this.#missed.size === 0) this.#line.hear(MISSED, () => this.#tell());
    this.#missed.add(handler);
  }

  /** The connection has broken. */
  broke(): void {
    this.#breaks += 1;
    this.#tell();
  }

  /** The connection stands again, and no question has come over it yet. */
  mended(): void {
    if (this.#speaks) this.#say(MISSED);
  }

  /** For the answer to a question that has just come: what was said because of it may be lost, and the answer not. */
  after(reply: Reply): Reply {
    const breaks = this.#breaks;
    return (bytes, kind) => {
      if (breaks !== this.#breaks) this.mended();
      reply(bytes, kind);
    };
  }

  #say(subject: string, bytes?: Uint8Array): void {
    try {
      this.#line.say(subject, bytes);
    } catch {
      // The connection is closed: no answer goes out on it either.
    }
  }

  #tell(): void {
    for (const handler of this.#missed) handler();
  }
}

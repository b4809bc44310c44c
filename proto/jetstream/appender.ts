import { randomUUID } from 'node:crypto';
import { createInbox, headers, type Msg, type NatsConnection } from 'nats';
import { formatSeconds } from '../contract/quantity-text.ts';
import { inboxOf, type UserName } from '../contract/users.ts';

/** Header by which the server recognizes an event that it has stored already. */
const ID = 'Nats-Msg-Id';

const LOST = 'lost the connection to the bus';

/** The server's answer to an event. */
type Acknowledgement = { seq?: number; error?: { description?: string } };

type Pending = { resolve: (answer: Msg) => void; reject: (error: Error) => void; timer: NodeJS.Timeout };

/** An event that waits until the server has stored another one. */
type Waiting = { send: () => void; fail: (error: unknown) => void };

/**
 * Appends events to a stream, many at a time and in the order of the calls. It is used instead of the client's own
 * `publish`, which creates several errors with their stacks for each event.
 *
 * A server that starts refuses events until its streams are ready, and might store later ones of many that it gets
 * meanwhile. So after a connect or a failure one event is sent alone; the others wait, and fail with it.
 */
export class Appender {
  readonly #nc: NatsConnection;
  readonly #inbox: string;
  readonly #patienceMs: number;
  /** Events that are not acknowledged, by the last part of their reply subject. */
  readonly #pending = new Map<string, Pending>();
  /** The server has stored an event, and refused none since. */
  #isReady = false;
  #isProbing = false;
  #disconnects = 0;
  #waiting: Waiting[] = [];

  /** @param patienceMs max wait for the answer to an event */
  constructor(nc: NatsConnection, user: UserName, patienceMs: number) {
    this.#nc = nc;
    this.#patienceMs = patienceMs;
    this.#inbox = createInbox(inboxOf(user));
    nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error) return;
        const id = message.subject.slice(this.#inbox.length + 1);
        const pending = this.#pending.get(id);
        if (pending) this.#end(id, pending).resolve(message);
      },
    });
  }

  /**
   * An event that the stream has already is not stored again.
   * @returns its sequence
   * @throws Error if the server did not store it, or does not answer
   */
  append(subject: string, id: string, bytes: Uint8Array): Promise<number> {
    const store = () => this.#store(subject, id, bytes);
    if (this.#isReady) return store();
    if (!this.#isProbing) return this.#probe(store);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#waiting.push({ send: () => resolve(store()), fail: reject });
    return promise;
  }

  /** Call it when the connection has broken: no answer to what was sent arrives. */
  onDisconnect(): void {
    this.#isReady = false;
    this.#disconnects += 1;
    for (const [id, pending] of this.#pending) this.#end(id, pending).reject(new Error(LOST));
  }

  async #probe(store: () => Promise<number>): Promise<number> {
    this.#isProbing = true;
    const disconnects = this.#disconnects;
    try {
      const sequence = await store();
      if (disconnects === this.#disconnects) this.#isReady = true;
      for (const { send, fail } of this.#waiting.splice(0)) {
        if (this.#isReady) send();
        else fail(new Error(LOST));
      }
      return sequence;
    } catch (error) {
      for (const { fail } of this.#waiting.splice(0)) fail(error);
      throw error;
    } finally {
      this.#isProbing = false;
    }
  }

  async #store(subject: string, id: string, bytes: Uint8Array): Promise<number> {
    try {
      const answer = await this.#send(subject, id, bytes);
      if (answer.headers?.code === 503) throw new Error(`no stream takes ${subject}`);
      const { seq, error } = answer.json<Acknowledgement>();
      if (seq === undefined || error)
        throw new Error(error?.description ?? `the server did not store ${subject}`);
      return seq;
    } catch (error) {
      this.#isReady = false;
      throw error;
    }
  }

  #send(subject: string, id: string, bytes: Uint8Array): Promise<Msg> {
    const call = randomUUID();
    const head = headers();
    head.set(ID, id);
    return new Promise((resolve, reject) => {
      // Throws if the connection is closed.
      this.#nc.publish(subject, bytes, { reply: `${this.#inbox}.${call}`, headers: head });
      const late = () =>
        this.#end(call, pending).reject(new Error(`no answer within ${formatSeconds(this.#patienceMs)}`));
      const pending: Pending = { resolve, reject, timer: setTimeout(late, this.#patienceMs) };
      this.#pending.set(call, pending);
    });
  }

  #end(id: string, pending: Pending): Pending {
    clearTimeout(pending.timer);
    this.#pending.delete(id);
    return pending;
  }
}

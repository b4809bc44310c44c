import { randomUUID } from 'node:crypto';
import { createInbox, headers, type Msg, type NatsConnection } from 'nats';
import { inboxOf, type UserName } from '../contract/users.ts';

/** Header by which the server recognizes an event that it has stored already. */
const ID = 'Nats-Msg-Id';

/** The server's answer to an event. */
type Acknowledgement = { seq?: number; error?: { description?: string } };

type Pending = { resolve: (answer: Msg) => void; reject: (error: Error) => void; timer: NodeJS.Timeout };

/**
 * Appends events to a stream, many at a time. It is used instead of the client's own `publish`, which creates several
 * errors with their stacks for each event.
 */
export class Appender {
  readonly #nc: NatsConnection;
  readonly #inbox: string;
  readonly #patienceMs: number;
  /** Events that are not acknowledged, by the last part of their reply subject. */
  readonly #pending = new Map<string, Pending>();

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

  /** @returns its sequence. @throws Error if the server did not store it, or does not answer */
  async append(subject: string, id: string, bytes: Uint8Array): Promise<number> {
    const answer = await this.#send(subject, id, bytes);
    if (answer.headers?.code === 503) throw new Error(`no stream takes ${subject}`);
    const { seq, error } = answer.json<Acknowledgement>();
    if (seq === undefined || error)
      throw new Error(error?.description ?? 'the server did not store the event');
    return seq;
  }

  /** Call it when the connection has broken: no answer to what was sent arrives. */
  onDisconnect(): void {
    for (const [id, pending] of this.#pending)
      this.#end(id, pending).reject(new Error('lost the connection to the bus'));
  }

  #send(subject: string, id: string, bytes: Uint8Array): Promise<Msg> {
    const call = randomUUID();
    const head = headers();
    head.set(ID, id);
    return new Promise((resolve, reject) => {
      // Throws if the connection is closed.
      this.#nc.publish(subject, bytes, { reply: `${this.#inbox}.${call}`, headers: head });
      const late = () =>
        this.#end(call, pending).reject(new Error(`no answer within ${this.#patienceMs} ms`));
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

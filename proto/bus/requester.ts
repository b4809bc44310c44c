import { setTimeout as sleep } from 'node:timers/promises';
import type { Static, TSchema } from '@sinclair/typebox';
import { pack, type Request, unpack } from '../contract/contract.ts';
import { Fault, fromWire, WireFault } from '../contract/fault.ts';
import { TRACEPARENT, type Traceparent } from '../contract/traceparent.ts';
import { ON_BEHALF } from './caller.ts';
import { asAnswer, type CallOptions, Calls } from './calls.ts';
import { type Connection, header, KIND, type Msg } from './connection.ts';

/** Sends the requests of one connection and receives the answers in its inbox. */
export class Requester {
  readonly calls: Calls<Msg>;
  readonly #connection: Connection;
  readonly #person: string | undefined;

  /**
   * @param person on whose behalf requests are sent by default
   * @param silenceMs overrides the limit of `calls.ts`
   */
  constructor(connection: Connection, person: string | undefined, silenceMs: number | undefined) {
    this.#connection = connection;
    this.#person = person;
    this.calls = new Calls(silenceMs);
    const { inbox } = connection;
    connection.on(`${inbox}.*`, (message) => {
      const id = message.subject.slice(inbox.length + 1);
      if (message.headers?.get(KIND) === 'working') this.calls.alive(id);
      else this.calls.settle(id, message);
    });
  }

  /**
   * Sends a request and waits for its answer. While nobody serves the subject, it is sent again for `patience` ms.
   * @throws Fault the one that the responder answered; `unavailable`; `denied` if the server refuses the subject;
   * `internal` if the answer violates its schema; `malformed`, `too-large` for the query; the reason of `signal` when
   * it aborts
   */
  async call<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    query: Static<Q>,
    { signal, patience = 5_000, behalf = this.#person, traceparent, ...options }: CallOptions = {},
  ): Promise<Static<R>> {
    const connection = this.#connection;
    const bytes = pack(contract.query, query);
    const deadline = performance.now() + patience;
    const head = behalf || traceparent ? { headers: headersOf(behalf, traceparent) } : {};
    for (;;) {
      signal?.throwIfAborted();
      const ask = (id: string) => {
        connection.publish(contract.subject, bytes, { reply: `${connection.inbox}.${id}`, ...head });
      };
      // A message published while disconnected is lost.
      const message = connection.isDown
        ? undefined
        : await this.calls.open(contract.subject, signal, ask, options);
      const unserved = message?.headers?.code === 503 && message.data.length === 0;
      if (message && !unserved) {
        if (message.headers?.get(KIND) === 'fault') throw fromWire(unpack(WireFault, message.data));
        return asAnswer(contract.subject, () => unpack(contract.reply, message.data));
      }
      if (performance.now() >= deadline)
        throw new Fault('unavailable', `no service answers ${contract.subject}`);
      const wait = sleep(50 + Math.random() * 200, undefined, signal ? { signal } : {});
      await wait.catch(() => signal?.throwIfAborted());
    }
  }
}

function headersOf(behalf: string | undefined, traceparent: Traceparent | undefined) {
  if (!behalf) return header(TRACEPARENT, traceparent as Traceparent);
  const head = header(ON_BEHALF, behalf);
  if (traceparent) head.set(TRACEPARENT, traceparent);
  return head;
}

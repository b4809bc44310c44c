import type { Static, TSchema } from '@sinclair/typebox';
import type { Request } from '../contract/contract.ts';
import type { Log } from '../contract/log.ts';
import { callerOf, type RequestSender } from './caller.ts';
import { answer, type Calls, type Reply, replyTo, respond } from './calls.ts';
import { mayAsk } from './permissions.ts';

/** Requests of other users, and the answers to them. */

export type IncomingRequest = {
  caller: RequestSender;
  /** Subject of the request: the contract's may have wildcards. */
  asked: string;
  /** Registers what to do if the answer reaches nobody, as the caller has disconnected. */
  ifLost(then: () => void): void;
};

export type RequestHandler<Q extends TSchema, R extends TSchema> = (
  query: Static<Q>,
  question: IncomingRequest,
) => Promise<Static<R>>;

type Message = {
  subject: string;
  data: Uint8Array;
  reply?: string;
  headers?: { get(name: string): string } | undefined;
  respond(bytes: Uint8Array, options: object): unknown;
};

/** Receives and sends messages. */
export type Wire = {
  subscribe(subject: string, handler: (message: Message) => void): { drain(): Promise<void> };
  /** Subject below which this connection receives answers. */
  inbox: string;
  calls: Pick<Calls<{ data: Uint8Array }>, 'open'>;
  /** Returns the headers of an answer of this kind. */
  header(kind: string): object;
  after(reply: Reply): Reply;
  log: Log;
  signOfLifeMs: number | undefined;
};

/** Min interval between log lines about refused requests, in ms. */
const LOG_REFUSED_MS = 10_000;

/** Serves the requests of other users on one connection. */
export class Responder {
  readonly #wire: Wire;
  #refused = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /**
   * Accepts a request only if its reply subject is in the inbox of a user who may send it. Otherwise a user who can
   * make another one publish on a chosen subject, as the answer to some other request, could send requests in its name.
   * @param quiet the answer is sent before the caller's silence limit ends: no signs of life are needed
   */
  serve<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    handler: RequestHandler<Q, R>,
    quiet = false,
  ): { drain(): Promise<void> } {
    const { subscribe, header, after, log, signOfLifeMs } = this.#wire;
    const { subject } = contract;
    const failed = (err: unknown) => log.error({ err, subject }, 'request failed');
    return subscribe(subject, (message) => {
      const caller = callerOf(message);
      const asked = message.subject;
      if (!caller.user || !mayAsk(caller.user, asked)) return this.#refuse(asked);
      let lost: (() => void) | undefined;
      const ifLost = (then: () => void) => {
        lost = then;
      };
      const work = () =>
        respond(contract, message.data, (query) => handler(query, { caller, asked, ifLost }));
      const reply = after(replyTo(message, header, () => lost && this.#confirm(lost)));
      void answer(reply, work, failed, quiet ? 0 : signOfLifeMs);
    });
  }

  /** @returns the subject on which the server reports that an answer reached nobody */
  #confirm(lost: () => void): string {
    const { calls, inbox } = this.#wire;
    let id = '';
    const report = calls.open('', undefined, (requestId) => {
      id = requestId;
    });
    report.then(lost, () => {});
    return `${inbox}.${id}`;
  }

  #refuse(subject: string): void {
    this.#refused += 1;
    const now = performance.now();
    if (now - this.#loggedAt < LOG_REFUSED_MS) return;
    this.#loggedAt = now;
    const text = 'request rejected: the owner of its reply inbox has no permission to send it';
    this.#wire.log.warn({ subject, count: this.#refused }, text);
    this.#refused = 0;
  }
}

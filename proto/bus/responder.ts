import type { Static, TSchema } from '@sinclair/typebox';
import type { Request } from '../contract/contract.ts';
import type { Log } from '../contract/log.ts';
import { type Caller, callerOf } from './caller.ts';
import { answer, type Calls, type Reply, replyTo, respond } from './calls.ts';
import { mayAsk } from './permissions.ts';

/** Questions of others, and the answers to them. */

export type Question = {
  caller: Caller;
  /** Its subject, where that of the contract has wildcards. */
  asked: string;
  /** Does this where the answer reaches nobody: whoever asked is gone. */
  ifLost(then: () => void): void;
};

export type Handler<Q extends TSchema, R extends TSchema> = (
  query: Static<Q>,
  question: Question,
) => Promise<Static<R>>;

type Message = {
  subject: string;
  data: Uint8Array;
  reply?: string;
  headers?: { get(name: string): string } | undefined;
  respond(bytes: Uint8Array, options: object): unknown;
};

/** How messages come in and go out. */
export type Wire = {
  hear(subject: string, heard: (message: Message) => void): { drain(): Promise<void> };
  /** Answers to this connection come below it. */
  inbox: string;
  calls: Pick<Calls<{ data: Uint8Array }>, 'open'>;
  /** Makes the headers of an answer of this kind. */
  header(kind: string): object;
  after(reply: Reply): Reply;
  log: Log;
  signOfLifeMs: number | undefined;
};

/** How often questions that are not answered are written to the log, in ms. */
const TELL_REFUSED_MS = 10_000;

export class Answers {
  readonly #wire: Wire;
  #refused = 0;
  #told = Number.NEGATIVE_INFINITY;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /**
   * A question is taken only where its answer goes to the inbox of a user who may ask it. Else whoever can have
   * somebody send something somewhere, as an answer to another question, would ask in the name of the one who sends.
   * @param quiet the answer comes within the silence that a caller bears: no signs of life before it
   */
  serve<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    handler: Handler<Q, R>,
    quiet = false,
  ): { drain(): Promise<void> } {
    const { hear, header, after, log, signOfLifeMs } = this.#wire;
    const { subject } = contract;
    const failed = (err: unknown) => log.error({ err, subject }, 'a request failed');
    return hear(subject, (message) => {
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

  /** @returns where the server says that an answer reached nobody */
  #confirm(lost: () => void): string {
    const { calls, inbox } = this.#wire;
    let id = '';
    const told = calls.open('', undefined, (own) => {
      id = own;
    });
    told.then(lost, () => {});
    return `${inbox}.${id}`;
  }

  #refuse(subject: string): void {
    this.#refused += 1;
    const now = performance.now();
    if (now - this.#told < TELL_REFUSED_MS) return;
    this.#told = now;
    const said = 'a question was not answered: its answer would go to somebody who may not ask it';
    this.#wire.log.warn({ subject, count: this.#refused }, said);
    this.#refused = 0;
  }
}

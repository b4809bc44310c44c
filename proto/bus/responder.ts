import type { Static, TSchema } from '@sinclair/typebox';
import { pack, type Request, unpack } from '../contract/contract.ts';
import { toWire, WireFault } from '../contract/fault.ts';
import type { Log } from '../contract/log.ts';
import { tracer } from '../tracing/tracer.ts';
import { callerOf, type RequestSender } from './caller.ts';
import { asAnswer, type Calls, SIGN_OF_LIFE_MS } from './calls.ts';
import { mayAsk } from './permissions.ts';
import { answerWithin } from './traced-requests.ts';

/** The responder's side of a request: accepts the requests of other users, and answers them. */

export type IncomingRequest = {
  caller: RequestSender;
  /** Subject of the request: the contract's may have wildcards. */
  subject: string;
  /** Registers what to do if the answer reaches nobody, as the caller has disconnected. */
  ifLost(then: () => void): void;
};

export type RequestHandler<Q extends TSchema, R extends TSchema> = (
  query: Static<Q>,
  request: IncomingRequest,
) => Promise<Static<R>>;

/** Sends the answer to one request, or a sign of life. */
export type SendAnswer = (bytes: Uint8Array, kind?: 'working' | 'fault') => void;

type Message = {
  subject: string;
  data: Uint8Array;
  reply?: string;
  headers?: { get(name: string): string } | undefined;
  respond(bytes: Uint8Array, options: object): unknown;
};

export type ResponderDeps = {
  subscribe(subject: string, handler: (message: Message) => void): { drain(): Promise<void> };
  /** Subject below which this connection receives answers. */
  inbox: string;
  calls: Pick<Calls<{ data: Uint8Array }>, 'open'>;
  /** Returns the headers of an answer of this kind. */
  header(kind: string): object;
  /** Wraps the sending of an answer when its request has been received. */
  guard(send: SendAnswer): SendAnswer;
  log: Log;
  signOfLifeMs: number | undefined;
};

/** Min interval between log lines about refused requests, in ms. */
const LOG_REFUSED_MS = 10_000;

/** Serves the requests of other users on one connection. */
export class Responder {
  readonly #deps: ResponderDeps;
  #refused = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(deps: ResponderDeps) {
    this.#deps = deps;
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
    const { subscribe, header, guard, log, signOfLifeMs } = this.#deps;
    const { subject: pattern } = contract;
    const failed = (err: unknown) => log.error({ err, subject: pattern }, 'request failed');
    return subscribe(pattern, (message) => {
      const caller = callerOf(message);
      const { subject } = message;
      if (!caller.user || !mayAsk(caller.user, subject)) return this.#refuse(subject);
      let lost: (() => void) | undefined;
      const ifLost = (then: () => void) => {
        lost = then;
      };
      const work = () =>
        respond(contract, message.data, (query) => handler(query, { caller, subject, ifLost }));
      const send = guard(makeSendAnswer(message, header, () => lost && this.#confirm(lost)));
      const traced = tracer ? () => answerWithin(pattern, message.headers, work) : work;
      void answer(send, traced, failed, quiet ? 0 : signOfLifeMs);
    });
  }

  /** @returns the subject on which the server reports that an answer reached nobody */
  #confirm(lost: () => void): string {
    const { calls, inbox } = this.#deps;
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
    this.#deps.log.warn({ subject, count: this.#refused }, text);
    this.#refused = 0;
  }
}

/**
 * @param header returns the headers of an answer of this kind
 * @param confirm returns the subject on which the server reports that the answer reached nobody; undefined: not wanted
 * @returns a function that answers the message
 */
function makeSendAnswer(
  message: { reply?: string; respond(bytes: Uint8Array, options: object): unknown },
  header: (kind: string) => object,
  confirm: () => string | undefined = () => undefined,
): SendAnswer {
  return (bytes, kind) => {
    if (!message.reply) return;
    try {
      const replySubject = kind ? undefined : confirm();
      message.respond(bytes, {
        ...(kind && { headers: header(kind) }),
        ...(replySubject && { reply: replySubject }),
      });
    } catch {
      // The connection is closed: the caller times out.
    }
  };
}

/**
 * Answers one request with the packed answer that `work` returns or the fault that it throws, and sends signs of life
 * until then, if `signOfLifeMs` is above 0.
 * @param failed is called with errors for the log: `internal` and `no-space`
 */
async function answer(
  send: SendAnswer,
  work: () => Promise<Uint8Array>,
  failed: (error: unknown) => void,
  signOfLifeMs = SIGN_OF_LIFE_MS,
): Promise<void> {
  const alive =
    signOfLifeMs > 0 ? setInterval(() => send(new Uint8Array(), 'working'), signOfLifeMs).unref() : undefined;
  try {
    send(await work());
  } catch (error) {
    const wire = toWire(error);
    if (wire.code === 'internal' || wire.code === 'no-space') failed(error);
    send(packFault(wire), 'fault');
  } finally {
    clearInterval(alive);
  }
}

/** Omits a detail that can't be packed, rather than failing to answer. */
function packFault(wire: WireFault): Uint8Array {
  try {
    return pack(WireFault, wire);
  } catch {
    const { code, message } = wire;
    return pack(WireFault, { code, message });
  }
}

/** Unpacks a query, runs the handler and packs its answer. @throws Fault */
async function respond<Q extends TSchema, R extends TSchema>(
  { subject, query, reply }: Request<Q, R>,
  bytes: Uint8Array,
  handler: (query: Static<Q>) => Promise<Static<R>>,
): Promise<Uint8Array> {
  const result = await handler(unpack(query, bytes));
  return asAnswer(subject, () => pack(reply, result));
}

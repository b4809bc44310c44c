import { randomUUID } from 'node:crypto';
import type { Static, TSchema } from '@sinclair/typebox';
import { pack, type Request, unpack } from '../contract/contract.ts';
import { Fault, toWire, WireFault } from '../contract/fault.ts';

/** Interval of a responder's signs of life while it handles a request, in ms. */
export const SIGN_OF_LIFE_MS = 1_000;
/** A caller gives up after this time without an answer or a sign of life, in ms. */
export const SILENCE_MS = 6_000;

export type CallOptions = {
  signal?: AbortSignal;
  /** How long to retry while nobody serves the request, in ms. Retrying is safe: such a request reached nobody. */
  patience?: number;
  /** Account or person on whose behalf the request is sent: see `caller.ts`. */
  behalf?: string | undefined;
  /** Fails when the connection breaks, instead of waiting for an answer that may still arrive. */
  brittle?: boolean;
  /** Overrides `SILENCE_MS`. */
  silenceMs?: number | undefined;
  /** Receives an answer that arrives after the caller has given up. */
  late?: ((answer: { data: Uint8Array }) => void) | undefined;
};

/** Max abandoned requests whose late answer is still wanted; the oldest is forgotten first. */
const MAX_LATE = 100;

type Pending<M> = {
  subject: string;
  brittle: boolean;
  settle(message: M): void;
  alive(): void;
  shorten(): void;
  fail(error: Fault): void;
};

/** Requests of a connection that are not answered yet, by id. */
export class Calls<M extends { data: Uint8Array }> {
  readonly #pending = new Map<string, Pending<M>>();
  readonly #late = new Map<string, (answer: M) => void>();
  readonly #silenceMs: number;

  constructor(silenceMs = SILENCE_MS) {
    this.#silenceMs = silenceMs;
  }

  /**
   * Registers a request and sends it.
   * @param ask sends the request under this id
   * @throws Fault `unavailable` after the silence, if `ask` throws, on `close`, or on `broke` if `brittle`; `denied` on
   * `refuse`; the reason of `signal` when it aborts
   */
  open(
    subject: string,
    signal: AbortSignal | undefined,
    ask: (id: string) => void,
    {
      brittle = false,
      silenceMs = this.#silenceMs,
      late,
    }: Pick<CallOptions, 'brittle' | 'silenceMs' | 'late'> = {},
  ): Promise<M> {
    // A responder may publish anything below this inbox: without the id, it can't answer a request sent to another one.
    const id = randomUUID();
    return new Promise<M>((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        this.#pending.delete(id);
        signal?.removeEventListener('abort', aborted);
      };
      const fail = (error: unknown) => {
        end();
        if (late) this.#keepLate(id, late);
        reject(error as Error);
      };
      const aborted = () => fail(signal?.reason);
      const silent = (ms: number) =>
        fail(new Fault('unavailable', `no answer to ${subject} within ${ms} ms`));
      let timer = setTimeout(silent, silenceMs, silenceMs);
      const shorten = () => {
        if (silenceMs <= this.#silenceMs) return;
        clearTimeout(timer);
        timer = setTimeout(silent, this.#silenceMs, this.#silenceMs);
      };
      signal?.addEventListener('abort', aborted, { once: true });
      this.#pending.set(id, {
        subject,
        brittle,
        fail,
        alive: () => timer.refresh(),
        shorten,
        settle: (message) => {
          end();
          resolve(message);
        },
      });
      try {
        ask(id);
      } catch (cause) {
        fail(new Fault('unavailable', 'the bus is closed', { cause }));
      }
    });
  }

  /** Settles a request. A duplicate answer has no effect, nor has a late one that nobody wants. */
  settle(id: string, message: M): void {
    const pending = this.#pending.get(id);
    pending?.settle(message);
    if (pending) return;
    const late = this.#late.get(id);
    this.#late.delete(id);
    late?.(message);
  }

  #keepLate(id: string, late: (answer: M) => void): void {
    this.#late.set(id, late);
    const [oldest] = this.#late.keys();
    if (this.#late.size > MAX_LATE && oldest !== undefined) this.#late.delete(oldest);
  }

  alive(id: string): void {
    this.#pending.get(id)?.alive();
  }

  /**
   * The responder has restarted: requests that were sent to its predecessor and allow a longer silence fail after the
   * default one, counted from now.
   */
  restarted(): void {
    for (const pending of this.#pending.values()) pending.shorten();
  }

  /** The connection is closed: fails all pending requests. */
  close(): void {
    for (const pending of [...this.#pending.values()]) {
      pending.fail(new Fault('unavailable', 'the bus is closed'));
    }
  }

  /** The connection has broken: fails the brittle requests. */
  onDisconnect(): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.brittle) pending.fail(new Fault('unavailable', 'lost the connection to the bus'));
    }
  }

  /** The server does not permit requests on this subject: fails those that are pending. */
  refuse(subject: string): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.subject === subject)
        pending.fail(new Fault('denied', `the bus user has no permission to request ${subject}`));
    }
  }
}

export type Reply = (bytes: Uint8Array, kind?: 'working' | 'fault') => void;

/**
 * @param header returns the headers of an answer of this kind
 * @param confirm returns the subject on which the server reports that the answer reached nobody; undefined: not wanted
 * @returns a function that answers the message
 */
export function replyTo(
  message: { reply?: string; respond(bytes: Uint8Array, options: object): unknown },
  header: (kind: string) => object,
  confirm: () => string | undefined = () => undefined,
): Reply {
  return (bytes, kind) => {
    if (!message.reply) return;
    try {
      const reply = kind ? undefined : confirm();
      message.respond(bytes, { ...(kind && { headers: header(kind) }), ...(reply && { reply }) });
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
export async function answer(
  reply: Reply,
  work: () => Promise<Uint8Array>,
  failed: (error: unknown) => void,
  signOfLifeMs = SIGN_OF_LIFE_MS,
): Promise<void> {
  const alive =
    signOfLifeMs > 0
      ? setInterval(() => reply(new Uint8Array(), 'working'), signOfLifeMs).unref()
      : undefined;
  try {
    reply(await work());
  } catch (error) {
    const wire = toWire(error);
    if (wire.code === 'internal' || wire.code === 'no-space') failed(error);
    reply(packFault(wire), 'fault');
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

/**
 * Packs or unpacks an answer. One that violates its schema is the responder's error, so it fails with `internal`:
 * `malformed` would blame the caller.
 * @throws Fault `internal`
 */
export function asAnswer<T>(subject: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const { message } = cause as Error;
    throw new Fault('internal', `the answer to ${subject} does not match its schema: ${message}`, { cause });
  }
}

/** Unpacks a query, runs the handler and packs its answer. @throws Fault */
export async function respond<Q extends TSchema, R extends TSchema>(
  { subject, query, reply }: Request<Q, R>,
  question: Uint8Array,
  handler: (query: Static<Q>) => Promise<Static<R>>,
): Promise<Uint8Array> {
  const result = await handler(unpack(query, question));
  return asAnswer(subject, () => pack(reply, result));
}

import { randomUUID } from 'node:crypto';
import type { Static, TSchema } from '@sinclair/typebox';
import { pack, type Request, unpack } from '../contract/contract.ts';
import { Fault, toWire, WireFault } from '../contract/fault.ts';

/** Whoever answers shows a sign of life this often while it works. */
export const SIGN_OF_LIFE_MS = 1_000;
/** A caller gives up after this much silence. */
export const SILENCE_MS = 6_000;

export type CallOptions = {
  signal?: AbortSignal;
  /** How long to go on asking while nobody serves the request, in ms. Safe: such a request reached nobody. */
  patience?: number;
  /** The account or the person for whom it is asked: see `askers.ts`. */
  behalf?: string | undefined;
  /** Fail when the connection breaks, instead of waiting for an answer that may come all the same. */
  brittle?: boolean;
  /** Instead of `SILENCE_MS`. */
  silenceMs?: number | undefined;
  /** Is given the answer that comes after the caller has given up. */
  late?: ((answer: { data: Uint8Array }) => void) | undefined;
};

/** Questions given up whose late answers somebody wants; the oldest is forgotten first. */
const MAX_LATE = 100;

type Pending<M> = {
  subject: string;
  brittle: boolean;
  settle(message: M): void;
  alive(): void;
  hurry(): void;
  fail(error: Fault): void;
};

/** The questions that a connection has asked and that are not answered yet, each under an id of its own. */
export class Calls<M extends { data: Uint8Array }> {
  readonly #pending = new Map<string, Pending<M>>();
  readonly #late = new Map<string, (answer: M) => void>();
  readonly #silenceMs: number;

  constructor(silenceMs = SILENCE_MS) {
    this.#silenceMs = silenceMs;
  }

  /**
   * @param ask puts the question to whoever may answer it, under the id
   * @throws Fault `unavailable` after the silence, or where `ask` throws; the reason of `signal` where that aborts
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
    // Whoever answers one may say something below the same inbox: that is an answer to no question of others.
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
        fail(new Fault('unavailable', `${subject} was not answered in ${ms} ms`));
      let timer = setTimeout(silent, silenceMs, silenceMs);
      const hurry = () => {
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
        hurry,
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

  /** An answer that came twice changes nothing, nor does one that came too late and that nobody wants then. */
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

  /** Whoever answers was started again: what the one before was asked is not left to a longer silence than the usual one. */
  restarted(): void {
    for (const pending of this.#pending.values()) pending.hurry();
  }

  /** Nothing more is answered. */
  close(): void {
    for (const pending of [...this.#pending.values()]) {
      pending.fail(new Fault('unavailable', 'the bus is closed'));
    }
  }

  /** The connection has broken. */
  broke(): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.brittle) pending.fail(new Fault('unavailable', 'the connection to the bus has broken'));
    }
  }

  /** The server does not let this connection ask on this subject. */
  refuse(subject: string): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.subject === subject)
        pending.fail(new Fault('denied', `the bus lets nobody ask ${subject} here`));
    }
  }
}

export type Reply = (bytes: Uint8Array, kind?: 'working' | 'fault') => void;

/**
 * @param header makes the headers of an answer of this kind
 * @param confirm gives the subject on which to hear that the answer reached nobody, where somebody wants to know
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
      // The connection is closed: the caller finds out by the silence.
    }
  };
}

/** Answers one question: with the packed answer that the work gives, or the fault that it throws, and signs of life until then, if any. */
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

/** Without a detail that can't go over the wire, rather than not at all. */
function packFault(wire: WireFault): Uint8Array {
  try {
    return pack(WireFault, wire);
  } catch {
    const { code, message } = wire;
    return pack(WireFault, { code, message });
  }
}

/**
 * Packs an answer, or unpacks one. That it is not as declared is a mistake of whoever answers, and not `malformed`,
 * which would put it on whoever asks.
 * @throws Fault `internal`
 */
export function asAnswer<T>(subject: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const { message } = cause as Error;
    throw new Fault('internal', `the answer to ${subject} is not as declared: ${message}`, { cause });
  }
}

/** Unpacks a question, has it handled, and packs the answer. @throws Fault */
export async function respond<Q extends TSchema, R extends TSchema>(
  { subject, query, reply }: Request<Q, R>,
  question: Uint8Array,
  handler: (query: Static<Q>) => Promise<Static<R>>,
): Promise<Uint8Array> {
  const found = await handler(unpack(query, question));
  return asAnswer(subject, () => pack(reply, found));
}

import { randomUUID } from 'node:crypto';
import { BoundedMap } from '../contract/bounded-map.ts';
import { Fault } from '../contract/fault.ts';
import { formatSeconds } from '../contract/quantity-text.ts';
import type { Traceparent } from '../contract/traceparent.ts';

/**
 * The caller's side of a request: a request waits here for its answer, and fails when its responder is silent. The
 * responder's side is `responder.ts`.
 */

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
  /** Span of the caller, for that of the responder. */
  traceparent?: Traceparent | undefined;
  /** Receives an answer that arrives after the caller has given up. */
  late?: ((answer: { data: Uint8Array }) => void) | undefined;
};

/** Max abandoned requests whose late answer is still wanted. */
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
  readonly #late = new BoundedMap<(answer: M) => void>(MAX_LATE);
  readonly #silenceMs: number;

  constructor(silenceMs = SILENCE_MS) {
    this.#silenceMs = silenceMs;
  }

  /**
   * Registers a request and sends it.
   * @param ask sends the request under this id
   * @throws Fault `unavailable` after the silence, if `ask` throws, on `close`, or on `onDisconnect` if `brittle`;
   * `denied` on `refuse`; the reason of `signal` when it aborts
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
        if (late) this.#late.set(id, late);
        reject(error as Error);
      };
      const aborted = () => fail(signal?.reason);
      const silent = (ms: number, detail: Fault['detail'] = {}) =>
        fail(new Fault('unavailable', `no answer to ${subject} within ${formatSeconds(ms)}`, { detail }));
      let timer = setTimeout(silent, silenceMs, silenceMs);
      const shorten = () => {
        if (silenceMs <= this.#silenceMs) return;
        clearTimeout(timer);
        timer = setTimeout(silent, this.#silenceMs, this.#silenceMs, { restarted: true });
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

  alive(id: string): void {
    this.#pending.get(id)?.alive();
  }

  /**
   * The responder has restarted: requests that allow a longer silence fail after the default one, counted from now,
   * with `detail.restarted`. They were sent to its predecessor, or to the new one before it announced its start.
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

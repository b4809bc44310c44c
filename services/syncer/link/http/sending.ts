import { Fault } from '#proto/contract/fault.ts';
import type { Bandwidth } from '../bandwidth/bandwidth.ts';
import { SOCKET_BYTES } from './agent.ts';

/** A body to send. It may be asked for several times: a request that is met by a challenge is sent again. */
export type Sent = {
  size: number;
  bytes: () => Iterable<Buffer> | AsyncIterable<Buffer>;
  /** How long the answer may take beyond the usual, in ms: what is on its way, and what the parent then does. */
  slackMs?: number;
};

/** Bytes that are paid for at a time at most. */
const SLICE = 64 * 1024;

export const sent = (bytes: Buffer): Sent => ({ size: bytes.length, bytes: () => [bytes] });

/**
 * Ends a request whose body does not move: the socket took nothing for `stallMs`, or the answer did not come so long
 * after the last byte. The time in which this side reads from disk or waits for bandwidth does not count.
 */
export class SendWatch {
  readonly #stallMs: number;
  readonly #stalled = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(stallMs: number) {
    this.#stallMs = stallMs;
  }

  /** Aborts with a Fault `parent-unreachable`. */
  get signal(): AbortSignal {
    return this.#stalled.signal;
  }

  async *body(body: Sent, bandwidth: Bandwidth, signal: AbortSignal): AsyncGenerator<Buffer> {
    for await (const piece of body.bytes()) {
      for (let at = 0, slice: Buffer; at < piece.length; at += slice.length) {
        slice = piece.subarray(at, at + Math.min(SLICE, bandwidth.piece ?? SLICE));
        await bandwidth.take(slice.length, 'up', signal);
        for (let from = 0; from < slice.length; from += SOCKET_BYTES) {
          this.#arm(this.#stallMs, 'took nothing');
          yield slice.subarray(from, from + SOCKET_BYTES);
          clearTimeout(this.#timer);
        }
      }
    }
    this.#arm(this.#stallMs + (body.slackMs ?? 0), 'did not answer');
  }

  /** The answer has come, or the request is over: what becomes of the rest of the body is nobody's concern. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  #arm(ms: number, what: string): void {
    clearTimeout(this.#timer);
    if (this.#ended) return;
    this.#timer = setTimeout(() => {
      this.#stalled.abort(new Fault('parent-unreachable', `the parent ${what} for ${ms / 1_000} s`));
    }, ms);
  }
}

import { Fault } from '#proto/contract/fault.ts';
import type { Bandwidth } from '../bandwidth/bandwidth.ts';

/** A body to send. `bytes` may be called several times: a request that meets a challenge is sent again. */
export type RequestBody = {
  size: number;
  bytes: () => Iterable<Buffer> | AsyncIterable<Buffer>;
  /** Time for the answer in addition to the stall time, in ms: for bytes on their way, and for the parent's work. */
  slackMs?: number;
};

/**
 * Write buffer of a socket, in bytes. It is the unit of progress when sending: one of many connections on a slow link
 * must send this much within the stall time.
 */
export const SOCKET_BYTES = 16 * 1024;
/** Max bytes for which bandwidth is taken at a time. */
const MAX_SLICE = 64 * 1024;

/** A body of one buffer. */
export const bodyOf = (bytes: Buffer): RequestBody => ({ size: bytes.length, bytes: () => [bytes] });

/**
 * Ends a request whose body makes no progress: the socket accepted nothing for `stallMs`, or the answer did not arrive
 * within that time, plus `slackMs`, after the last byte. Time in which this side reads from disk or waits for bandwidth
 * does not count.
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

  /** Yields the body, in parts that the socket buffers, as bandwidth is granted. */
  async *body(body: RequestBody, bandwidth: Bandwidth, signal: AbortSignal): AsyncGenerator<Buffer> {
    for await (const piece of body.bytes()) {
      for (let at = 0, slice: Buffer; at < piece.length; at += slice.length) {
        slice = piece.subarray(at, at + Math.min(MAX_SLICE, bandwidth.maxPieceBytes ?? MAX_SLICE));
        await bandwidth.take(slice.length, 'up', signal);
        for (let from = 0; from < slice.length; from += SOCKET_BYTES) {
          this.#arm(this.#stallMs, 'accepted no bytes');
          yield slice.subarray(from, from + SOCKET_BYTES);
          clearTimeout(this.#timer);
        }
      }
    }
    this.#arm(this.#stallMs + (body.slackMs ?? 0), 'did not answer');
  }

  /** The answer arrived, or the request ended: the remaining body is not watched any more. */
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

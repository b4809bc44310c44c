import type { Dispatcher } from 'undici';
import { Fault } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { certificateHint } from '#proto/process/clock-hint.ts';

export type Body = AsyncIterable<Buffer> & { destroy(): void };
/**
 * A response. `from`: the URL that answered, which differs from the requested one after a redirect. `own`: the parent's
 * origin answered (the parent, or a proxy in its place), not another host. `stallMs`: max stall of the body, in ms.
 */
export type Answer = Dispatcher.ResponseData & { from: URL; own: boolean; stallMs: number };

/** Min bytes that must arrive within `stallMs` of waiting. A single packet carries more, also over a slow link. */
const MIN_BYTES = 1_024;

/** Max size of an answer other than a blob, such as a page of a list, in bytes. */
export const MAX_PAGE_BYTES = 16 * 1024 * 1024;
/** Max size of a token answer, or of a short message about this layer, in bytes. */
export const MAX_SMALL_ANSWER_BYTES = 256 * 1024;
/** Max bytes that are read of an error body. */
const MAX_ERROR_BYTES = 64 * 1024;
/** Max time to read any of these, in ms. The slowest link that can be configured carries 1.8 MB in it. */
const MAX_BODY_MS = 30 * 60_000;
/** Min capacity of a buffer, in bytes. */
const MIN_BUFFER = 4 * 1024;

/** The first value of a header. */
export const firstValue = (header: string | string[] | undefined): string | undefined =>
  [header ?? []].flat()[0];

/** Alerts of a server that refuses a client without a certificate, or with one that it does not trust. */
const CERTIFICATE_REFUSED =
  /ALERT_(HANDSHAKE_FAILURE|CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_(UNKNOWN|EXPIRED|REVOKED)|ACCESS_DENIED)/;

/**
 * Maps a failure to get an answer to a Fault `parent-unreachable`. A Fault is returned as it is. If `signal` was
 * aborted, other than by a timeout, its reason is returned.
 */
export function unreachable(cause: unknown, signal: AbortSignal, what: string): unknown {
  if (signal.aborted && signal.reason?.name !== 'TimeoutError') return signal.reason;
  if (cause instanceof Fault) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const untrusted = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(code ?? '')
    ? 'its certificate is not trusted; if a private CA signed it, set parent.caFile to that CA'
    : undefined;
  const refused = CERTIFICATE_REFUSED.test(code ?? '')
    ? 'it refused the TLS connection; if it demands a client certificate, set parent.certificateFile and parent.keyFile to one that it trusts'
    : undefined;
  const remedy = refused ?? certificateHint(code) ?? untrusted;
  return new Fault('parent-unreachable', `${what}: ${code ?? message}${remedy ? `: ${remedy}` : ''}`, {
    cause,
  });
}

/** The body, with its errors as Faults `parent-unreachable`. A body that only trickles fails as stalled. */
export function guarded(answer: Answer): Body {
  const body = answer.body as unknown as Body;
  return {
    destroy: () => body.destroy(),
    async *[Symbol.asyncIterator]() {
      try {
        yield* watched(body, answer.stallMs);
      } catch (cause) {
        throw unreachable(cause, AbortSignal.any([]), 'the connection to the parent was lost');
      }
    },
  };
}

/** Counts only time spent waiting for the parent, not time that the reader takes. */
async function* watched(body: Body, stallMs: number): AsyncGenerator<Buffer> {
  let waited = 0;
  let received = 0;
  let since = performance.now();
  for await (const part of body) {
    waited += performance.now() - since;
    received += part.length;
    if (received >= MIN_BYTES) waited = received = 0;
    if (waited > stallMs) {
      throw new Fault(
        'parent-unreachable',
        `the parent sent ${formatBytes(received)} in ${Math.round(waited / 1_000)} s`,
      );
    }
    yield part;
    since = performance.now();
  }
}

/**
 * Reads the complete body.
 * @throws Fault `parent-invalid` if it is larger than `limit` bytes; `parent-unreachable` if it does not end in time
 */
export async function readAll(answer: Answer, limit: number, what: string): Promise<Buffer> {
  const buffer = new GrowingBuffer(limit);
  const until = performance.now() + MAX_BODY_MS;
  for await (const part of guarded(answer)) {
    if (!buffer.add(part)) throw new Fault('parent-invalid', `${what} is larger than ${limit} bytes`);
    if (performance.now() > until) {
      throw new Fault('parent-unreachable', `${what} was not received within ${MAX_BODY_MS / 60_000} min`);
    }
  }
  return buffer.bytes;
}

/**
 * The beginning of an error body, at most 4,096 characters. A body that is larger than `MAX_ERROR_BYTES` is closed
 * together with its connection. Bodies of other hosts than the parent are discarded: they would appear in the status
 * and in events as the parent's words.
 */
export async function readErrorBody(answer: Answer): Promise<string> {
  if (!answer.own) {
    await answer.body.dump().catch(() => {});
    return '';
  }
  const buffer = new GrowingBuffer(MAX_ERROR_BYTES);
  try {
    for await (const part of guarded(answer)) if (!buffer.add(part)) break;
  } catch {
    // The part that arrived is used.
  }
  return buffer.bytes.toString('utf8').slice(0, 4_096);
}

/** Gathers bytes in one buffer, so that many small parts take no more memory than few large ones. */
class GrowingBuffer {
  readonly #limit: number;
  #buffer = Buffer.alloc(0);
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns false, with nothing added, if the limit would be exceeded */
  add(part: Buffer): boolean {
    const size = this.#size + part.length;
    if (size > this.#limit) return false;
    if (size > this.#buffer.length) {
      const larger = Buffer.alloc(Math.min(this.#limit, Math.max(size, this.#buffer.length * 2, MIN_BUFFER)));
      this.#buffer.copy(larger, 0, 0, this.#size);
      this.#buffer = larger;
    }
    part.copy(this.#buffer, this.#size);
    this.#size = size;
    return true;
  }

  /** Copied to its exact length: a caller may hold it for a complete pass, which must not retain spare capacity. */
  get bytes(): Buffer {
    const { length } = this.#buffer;
    return length === this.#size ? this.#buffer : Buffer.from(this.#buffer.subarray(0, this.#size));
  }
}

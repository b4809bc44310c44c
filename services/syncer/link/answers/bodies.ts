import type { Dispatcher } from 'undici';
import { Fault } from '#proto/contract/fault.ts';

export type Body = AsyncIterable<Buffer> & { destroy(): void };
/**
 * What the parent answered, and where: a redirect may have led elsewhere. `own`: the parent itself did, or whatever
 * stands for it. A body must not stall for `stallMs`.
 */
export type Answer = Dispatcher.ResponseData & { from: URL; own: boolean; stallMs: number };

/** What brings less while it is waited for has stalled. One packet brings more, however slow the link is. */
const MIN_BYTES = 1_024;

/** Largest answer other than a blob: a page of a list. In bytes, as all limits here. */
export const PAGE_LIMIT = 16 * 1024 * 1024;
/** A token, or a word or two about this layer. */
export const WORD_LIMIT = 256 * 1024;
const EXPLANATION_LIMIT = 64 * 1024;
/** Longest time in which any of these may come: the slowest link that can be configured brings 1.8 MB in it. */
const MAX_BODY_MS = 30 * 60_000;
const MIN_BUFFER = 4 * 1024;

export const one = (header: string | string[] | undefined): string | undefined => [header ?? []].flat()[0];

/** A failure to get an answer, as a fault; where the request was ended, the reason for that. */
export function unreachable(cause: unknown, signal: AbortSignal, what: string): unknown {
  if (signal.aborted && signal.reason?.name !== 'TimeoutError') return signal.reason;
  if (cause instanceof Fault) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const untrusted = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(code ?? '');
  const remedy = untrusted
    ? ': its certificate is not trusted here; where a CA of its own signs it, name that as parent.caFile'
    : '';
  return new Fault('parent-unreachable', `${what}: ${code ?? message}${remedy}`, { cause });
}

/** The body, its failures as faults; one that only drips is one. */
export function guarded(answer: Answer): Body {
  const body = answer.body as unknown as Body;
  return {
    destroy: () => body.destroy(),
    async *[Symbol.asyncIterator]() {
      try {
        yield* lively(body, answer.stallMs);
      } catch (cause) {
        throw unreachable(cause, AbortSignal.any([]), 'the connection to the parent broke');
      }
    },
  };
}

/** Only the time in which the parent is waited for counts. */
async function* lively(body: Body, stallMs: number): AsyncGenerator<Buffer> {
  let waited = 0;
  let came = 0;
  let since = performance.now();
  for await (const part of body) {
    waited += performance.now() - since;
    came += part.length;
    if (came >= MIN_BYTES) waited = came = 0;
    if (waited > stallMs) {
      throw new Fault(
        'parent-unreachable',
        `the parent sent ${came} bytes in ${Math.round(waited / 1_000)} s`,
      );
    }
    yield part;
    since = performance.now();
  }
}

/**
 * The whole body.
 * @throws Fault `parent-invalid` where it is larger than `limit` bytes; `parent-unreachable` where it does not end in time
 */
export async function whole(answer: Answer, limit: number, what: string): Promise<Buffer> {
  const held = new Growing(limit);
  const until = performance.now() + MAX_BODY_MS;
  for await (const part of guarded(answer)) {
    if (!held.add(part)) throw new Fault('parent-invalid', `${what} is larger than ${limit} bytes`);
    if (performance.now() > until) {
      throw new Fault('parent-unreachable', `${what} did not come within ${MAX_BODY_MS / 60_000} min`);
    }
  }
  return held.bytes;
}

/**
 * The beginning of a body that explains something; a longer one ends with its connection. What another host than the
 * parent says is read by nobody: it would stand in the status and in events as the parent's word.
 */
export async function text(answer: Answer): Promise<string> {
  if (!answer.own) {
    await answer.body.dump().catch(() => {});
    return '';
  }
  const held = new Growing(EXPLANATION_LIMIT);
  try {
    for await (const part of guarded(answer)) if (!held.add(part)) break;
  } catch {
    // What came explains as much.
  }
  return held.bytes.toString('utf8').slice(0, 4_096);
}

/** Bytes in one buffer, so that they take no more memory when they come one by one. */
class Growing {
  readonly #limit: number;
  #buffer = Buffer.alloc(0);
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns false, and takes nothing, where that is more than the limit */
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

  /** A copy of its own length: what is held for a pass is not to hold what it could have grown to. */
  get bytes(): Buffer {
    const { length } = this.#buffer;
    return length === this.#size ? this.#buffer : Buffer.from(this.#buffer.subarray(0, this.#size));
  }
}

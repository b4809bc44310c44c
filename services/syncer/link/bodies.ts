import type { Dispatcher } from 'undici';
import { Fault } from '#proto/fault.ts';

export type Body = AsyncIterable<Buffer> & { destroy(): void };
/** What the parent answered, and where: a redirect may have led elsewhere. A body must not stall for `stallMs`. */
export type Answer = Dispatcher.ResponseData & { from: URL; stallMs: number };

/** What brings less while it is waited for has stalled. One packet brings more, however slow the link is. */
const LEAST_BYTES = 1_024;

/** Largest answer other than a blob: a page of a list. */
export const PAGE_LIMIT = 16 * 1024 * 1024;

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
    if (came >= LEAST_BYTES) waited = came = 0;
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

/** The whole body. @throws Fault `parent-invalid` where it is larger than `limit` bytes */
export async function whole(answer: Answer, limit: number, what: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of guarded(answer)) {
    size += part.length;
    if (size > limit) throw new Fault('parent-invalid', `${what} is larger than ${limit} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** The beginning of a body that explains something. */
export async function text(answer: Answer): Promise<string> {
  try {
    return (await whole(answer, PAGE_LIMIT, 'the answer')).toString('utf8').slice(0, 4_096);
  } catch {
    return '';
  }
}

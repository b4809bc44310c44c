import { backoffMs, requestedWaitMs } from '#proto/async/backoff.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import { answerHint } from '#proto/process/clock-hint.ts';
import type { Answer } from './bodies.ts';

/**
 * How answers of the parent are read. `bodies.ts` bounds a body in size and time. This file maps a status to a Fault,
 * and a Fault to the wait before a retry; `retry.ts` retries small requests by that rule. `blob-answer.ts` checks
 * an answer to a ranged GET, `byte-ranges.ts` one to a GET of several ranges, `read-as.ts` a message of a Terrace,
 * `link-header.ts` finds the next page of a list, `parent-path.ts` what an address in an answer means, and
 * `extents.ts` holds sets of byte ranges.
 *
 * An `Answer` arrives from `ParentLink` with its status and an unread body. Its reader streams the body (`guarded`),
 * reads all of it up to a limit (`readAll`), or reads the beginning of an error body (`readErrorBody`) and throws
 * `refusal(…)`. This file is pure.
 */

/** Max wait that a parent may request within one pass, in ms. After a longer one, the pass gives up (`retryDelay`). */
export const MAX_REQUESTED_WAIT_MS = 5 * 60_000;

/** Max value that is read from `Retry-After`, in ms. Larger ones are clamped: no caller waits that long. */
const MAX_READ_MS = 365 * 24 * 60 * 60_000;

/**
 * Parses `Retry-After`: seconds or an HTTP date (RFC 9110, 10.2.3).
 * @param now in ms since 1970
 * @returns ms from `now`; undefined if the header is missing or malformed
 */
export function retryAfter(header: string | string[] | undefined, now: number): number | undefined {
  const text = [header ?? []].flat()[0]?.trim();
  if (!text) return undefined;
  if (/^\d+$/.test(text)) return Math.min(MAX_READ_MS, Number(text) * 1_000);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.min(MAX_READ_MS, Math.max(0, date - now));
}

/**
 * The Fault for a status that is not success: `busy`, `parent-unreachable` or `parent-refused`, with the status as
 * `detail.status`. If the body holds an OCI error, its code is `detail.reason`. `Retry-After` is `detail.retryAfterMs`.
 * @param what names the request in the message
 */
export function refusal(
  status: number,
  headers: Record<string, string | string[] | undefined>,
  body: string,
  what: string,
  now = Date.now(),
): Fault {
  const { code, summary } = explanationIn(body);
  const date = [headers.date ?? []].flat()[0];
  const clock = status === 401 || status === 403 ? answerHint(date, now) : undefined;
  const text = `${what}: the parent answered ${status}${summary ? `: ${summary}` : ''}${clock ? `; ${clock}` : ''}`;
  const wait = retryAfter(headers['retry-after'], sentAt(date, now));
  const detail = {
    status,
    ...(code && { reason: code }),
    ...(wait !== undefined && { retryAfterMs: wait }),
  };
  if (status === 429) {
    const until =
      wait === undefined ? '' : `; it limits requests until ${new Date(now + wait).toISOString()}`;
    return new Fault('busy', `${text}${until}`, { detail });
  }
  // 501 says that the registry lacks a feature, which does not pass by itself.
  if ((status >= 500 && status !== 501) || status === 408)
    return new Fault('parent-unreachable', text, { detail });
  return new Fault('parent-refused', text, { detail });
}

/** The Fault for an answer that is not success, see `refusal`. */
export const refusedAnswer = ({ statusCode, headers }: Answer, body: string, what: string): Fault =>
  refusal(statusCode, headers, body, what);

/** When an answer was sent, by the clock of its server: a date in it is relative to that. */
export function sentAt(date: string | string[] | undefined, now: number): number {
  const sent = Date.parse([date ?? []].flat()[0] ?? '');
  return Number.isNaN(sent) ? now : sent;
}

/** Whether a retry of the same request may succeed: the cause passes by itself. */
export const isTransient = (fault: Fault): boolean =>
  Fault.is(fault, 'parent-unreachable', 'unavailable', 'busy', 'claim-lost');

const RETRY = { firstMs: 1_000, maxMs: 30_000 };
/** While the data volume is full. The number of attempts has no limit. */
const FULL = { firstMs: 1_000, maxMs: 10_000 };

/**
 * The wait after attempt number `attempt` (from 1) failed, in whole ms: exponential backoff from 1 s to 30 s with
 * jitter, and at least as long as the parent requested.
 * @returns undefined if the pass should give up: the fault does not pass by itself, attempts are exhausted, or the
 * parent requested more than `MAX_REQUESTED_WAIT_MS`
 */
export function retryDelay(fault: Fault, attempt: number, random = Math.random()): number | undefined {
  if (fault.code === 'no-space') return Math.round(backoffMs(attempt, FULL, random));
  if (!isTransient(fault) || attempt > 6) return undefined;
  const requested = Number(fault.detail?.retryAfterMs ?? 0);
  if (requested > MAX_REQUESTED_WAIT_MS) return undefined;
  return Math.round(Math.max(backoffMs(attempt, RETRY, random), requestedWaitMs(requested, random)));
}

/** The code and message of an OCI error body, or the beginning of a text, on one line. */
function explanationIn(body: string): { code?: string; summary: string } {
  try {
    const error = (JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] }).errors?.[0];
    if (error) {
      const code = typeof error.code === 'string' && CODE.test(error.code) ? error.code : undefined;
      const message = typeof error.message === 'string' ? clip(oneLine(error.message), 240) : '';
      return { summary: [code, message].filter(Boolean).join(' '), ...(code && { code }) };
    }
  } catch {
    // Not JSON: a page of a proxy.
  }
  return { summary: clip(oneLine(body.slice(0, 1_024).replace(/<[^>]*>/g, ' ')), 120) };
}

/** Error codes of the OCI specifications and of registries' extensions. */
const CODE = /^[A-Za-z0-9_]{1,64}$/;

/** On one line, without the control characters that a terminal would obey. */
const oneLine = (text: string): string => text.replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ').trim();

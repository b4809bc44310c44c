import { atLeast, backoffMs } from '#proto/async/backoff.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';

/** What a parent's answer means for us. Pure. */

/** Longest time that a parent may ask us to wait within one pass, in ms. */
export const MAX_WAIT_MS = 5 * 60_000;

/** What a server may ask for is cut off here, in ms: nobody waits that long. */
const MAX_ASKED_MS = 365 * 24 * 60 * 60_000;

/** `Retry-After` in ms from `now`: seconds or an HTTP date (RFC 9110, 10.2.3). */
export function retryAfter(header: string | string[] | undefined, now: number): number | undefined {
  const text = [header ?? []].flat()[0]?.trim();
  if (!text) return undefined;
  if (/^\d+$/.test(text)) return Math.min(MAX_ASKED_MS, Number(text) * 1_000);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.min(MAX_ASKED_MS, Math.max(0, date - now));
}

/**
 * An answer with a status that is not success. `what` names the request for a person. Where the body holds an OCI
 * error, its code is `detail.reason`.
 */
export function refusal(
  status: number,
  headers: Record<string, string | string[] | undefined>,
  body: string,
  what: string,
  now = Date.now(),
): Fault {
  const { code, said } = explained(body);
  const text = `${what}: the parent answered ${status}${said ? `: ${said}` : ''}`;
  const wait = retryAfter(headers['retry-after'], now);
  const detail = {
    status,
    ...(code && { reason: code }),
    ...(wait !== undefined && { retryAfterMs: wait }),
  };
  if (status === 429) return new Fault('busy', text, { detail });
  if (status >= 500 || status === 408) return new Fault('parent-unreachable', text, { detail });
  return new Fault('parent-refused', text, { detail });
}

/** Codes after which the same request may well succeed a little later. */
export const passing = (fault: Fault): boolean =>
  Fault.is(fault, 'parent-unreachable', 'unavailable', 'busy', 'claim-lost');

const RETRY = { firstMs: 1_000, maxMs: 30_000 };
/** A full data volume is tried again as often as it takes. */
const FULL = { firstMs: 1_000, maxMs: 10_000 };

/**
 * How long to wait before attempt number `attempt` (from 1), in whole ms: doubling from one second to 30, with jitter, and
 * never less than the parent asked for.
 * @returns undefined where it is better to give up for this pass
 */
export function backOff(fault: Fault, attempt: number, random = Math.random()): number | undefined {
  if (fault.code === 'no-space') return Math.round(backoffMs(attempt, FULL, random));
  if (!passing(fault) || attempt > 6) return undefined;
  const asked = Number(fault.detail?.retryAfterMs ?? 0);
  if (asked > MAX_WAIT_MS) return undefined;
  return Math.round(Math.max(backoffMs(attempt, RETRY, random), atLeast(asked, random)));
}

/** The code and message of an OCI error body, or the beginning of a text, on one line. */
function explained(body: string): { code?: string; said: string } {
  try {
    const error = (JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] }).errors?.[0];
    if (error) {
      const code = typeof error.code === 'string' && CODE.test(error.code) ? error.code : undefined;
      const message = typeof error.message === 'string' ? clip(plain(error.message), 240) : '';
      return { said: [code, message].filter(Boolean).join(' '), ...(code && { code }) };
    }
  } catch {
    // Not JSON: a proxy's page.
  }
  return { said: clip(plain(body.slice(0, 1_024).replace(/<[^>]*>/g, ' ')), 120) };
}

/** Codes of the OCI specifications, and those that registries add. */
const CODE = /^[A-Za-z0-9_]{1,64}$/;

/** On one line, without what a terminal obeys. */
const plain = (text: string): string => text.replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ').trim();

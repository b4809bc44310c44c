import { retryAfter } from '../answers/answers.ts';
import { firstValue } from '../answers/bodies.ts';

/** What a registry says about its rate limit in the headers of an answer. Pure. */

type Headers = Record<string, string | string[] | undefined>;

/** Numbers from this one on are seconds since 1970, and from `EPOCH_MS` on ms; smaller ones are seconds from now. */
const EPOCH_S = 1_000_000_000;
const EPOCH_MS = EPOCH_S * 1_000;

/**
 * The wait that a 429 requests, in ms: by `Retry-After`, or until the limit is reset.
 * @param now in ms since 1970
 */
export const requestedHold = (headers: Headers, now: number): number | undefined =>
  retryAfter(headers['retry-after'], timeOf(headers, now)) ?? resetIn(headers, now);

/** The number of requests that the limit still allows. */
export const remainingIn = (headers: Headers): number | undefined =>
  parameterIn(headers.ratelimit, 'r', 'remaining') ??
  leadingNumber(headers['ratelimit-remaining'] ?? headers['x-ratelimit-remaining']);

/** The wait until the limit is reset (headers RateLimit, RateLimit-Reset, X-RateLimit-Reset), in ms. */
export function resetIn(headers: Headers, now: number): number | undefined {
  const reset =
    parameterIn(headers.ratelimit, 't', 'reset') ??
    leadingNumber(headers['ratelimit-reset'] ?? headers['x-ratelimit-reset']);
  if (reset === undefined) return undefined;
  if (reset < EPOCH_S) return reset * 1_000;
  return Math.max(0, (reset < EPOCH_MS ? reset * 1_000 : reset) - timeOf(headers, now));
}

/** A point in time is relative to the `Date` of the answer: the clock of this machine may be wrong. */
function timeOf(headers: Headers, now: number): number {
  const date = Date.parse(firstValue(headers.date) ?? '');
  return Number.isNaN(date) ? now : date;
}

/** The number at the beginning of a value such as `0;w=21600`. */
function leadingNumber(header: string | string[] | undefined): number | undefined {
  const digits = /^\s*(\d{1,16})(?=[\s;,.]|$)/.exec(firstValue(header) ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** A parameter of a value such as `"default";r=0;t=30` or `limit=100, remaining=0, reset=30`. */
function parameterIn(header: string | string[] | undefined, ...names: string[]): number | undefined {
  for (const part of (firstValue(header) ?? '').slice(0, 1_024).split(/[;,]/)) {
    const [name = '', value = ''] = part.split('=', 2);
    if (names.includes(name.trim().toLowerCase()) && /^\s*\d{1,16}\s*$/.test(value)) return Number(value);
  }
  return undefined;
}

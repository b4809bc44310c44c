import { durationOf } from '#proto/document/quantities.ts';
import { Refusal } from '../terminal/refusal.ts';

const DATE = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

/**
 * Parses `P90D` (from now), `2027-01-31` (its first instant, UTC) or `2027-01-31T12:00:00Z` to ms since 1970.
 * @throws Refusal
 */
export function instantOf(text: string, now: number): number {
  const duration = durationOf(text);
  const instant = duration === undefined ? (DATE.test(text) ? Date.parse(text) : Number.NaN) : now + duration;
  if (!Number.isFinite(instant)) {
    throw new Refusal(
      `--expires "${text}" is not valid: write an ISO 8601 duration, such as P90D, or a date, such as 2027-01-31`,
      2,
    );
  }
  if (instant <= now) throw new Refusal(`--expires "${text}" is in the past: write a time in the future`, 2);
  return instant;
}

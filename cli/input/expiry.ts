import { instantOf } from '#proto/contract/time-text.ts';
import { durationOf } from '#proto/document/quantities.ts';
import { Refusal } from '../terminal/refusal.ts';

/**
 * Parses `P90D` (from now), `2027-01-31` (its first instant, UTC) or `2027-01-31T12:00:00Z` to ms since 1970.
 * @throws Refusal
 */
export function expiryOf(text: string, now: number): number {
  const duration = durationOf(text);
  const instant = duration === undefined ? instantOf(text) : now + duration;
  if (instant === undefined) {
    throw new Refusal(
      `--expires "${text}" is not valid: write an ISO 8601 duration, such as P90D, or a date, such as 2027-01-31`,
      2,
    );
  }
  if (instant <= now) throw new Refusal(`--expires "${text}" is in the past: write a time in the future`, 2);
  return instant;
}

/** Times as people write them. Pure. */

const TIME = /^(\d{4})-(\d{2})-(\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

/**
 * `2027-01-31` (its first instant, UTC) or `2027-01-31T12:00Z` in ms since 1970; undefined if it is not valid, as a day
 * that the month does not have.
 */
export function instantOf(text: string): number | undefined {
  const [, year, month, day] = TIME.exec(text)?.map(Number) ?? [];
  if (year === undefined || month === undefined || day === undefined) return undefined;
  // Date.parse takes February 30 for March 2.
  const date = new Date(Date.UTC(year, month - 1, day));
  date.setUTCFullYear(year);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const instant = Date.parse(text);
  return Number.isNaN(instant) ? undefined : instant;
}

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `45s`, `30m`, `2h`, `1d` in ms; undefined if the text has another form. */
export function spanOf(text: string): number | undefined {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * (UNITS[unit] as number);
}

/** The first time that has a text of RFC 3339. */
export const FIRST_TIME = Date.parse('0000-01-01T00:00:00Z');

/** What `startOf` takes. */
export const START = 'an age (2h, 30m, 1d), a time (2026-05-01T12:00Z), or the number of an event';

/** Start of a part of the history: the number of an event, or a time; undefined if the text is neither. */
export function startOf(text: string, now: number): number | Date | undefined {
  if (/^\d+$/.test(text)) return Number.isSafeInteger(Number(text)) ? Number(text) : undefined;
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? [];
  const instant = count === undefined ? instantOf(text) : now - Number(count) * (UNITS[unit] as number);
  // An age of more than all time is a typing error. No event is older than 1970.
  return instant === undefined || instant < FIRST_TIME ? undefined : new Date(Math.max(0, instant));
}

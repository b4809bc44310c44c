import { durationText } from './quantities.ts';

/** Instants, in ms since 1970-01-01 UTC, as text in the time zone of the viewer. Pure but for that zone. */

const two = (value: number) => String(value).padStart(2, '0');

/** `14:32:07` */
export function clockText(instant: number, seconds = true): string {
  const date = new Date(instant);
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return seconds ? `${minutes}:${two(date.getSeconds())}` : minutes;
}

/** `2026-11-30` */
export function dayText(instant: number): string {
  const date = new Date(instant);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** `14:32` on the day of `now`, else `2026-12-01 14:32` */
export function whenText(instant: number, now: number): string {
  const clock = clockText(instant, false);
  return dayText(instant) === dayText(now) ? clock : `${dayText(instant)} ${clock}`;
}

/** `2026-11-30 14:32:07` */
export const instantText = (instant: number): string => `${dayText(instant)} ${clockText(instant)}`;

/** `18 s ago`; a clock that is a little ahead counts as now. */
export function agoText(instant: number, now: number): string {
  return now - instant < 1_000 ? 'now' : `${durationText(now - instant)} ago`;
}

/** `in 6 min`; `now` if it has passed. */
export const inText = (instant: number, now: number): string =>
  instant <= now ? 'now' : `in ${durationText(instant - now)}`;

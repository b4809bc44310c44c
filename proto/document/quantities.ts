import { Type } from '../contract/schema.ts';

/** Schedules, amounts, rates, times and durations as a document writes them. */

/** Cron, five fields, UTC. */
export const Cron = Type.String({ maxLength: 256 });
/** ISO 8601 duration, such as P1D or PT90M. */
export const Duration = Type.String({ pattern: '^P', maxLength: 64 });
/** Bytes, such as 512MiB or 20MB. */
export const Amount = Type.Union([
  Type.Integer({ minimum: 0 }),
  Type.String({ pattern: '^\\d', maxLength: 32 }),
]);

const UNITS: Record<string, number> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** `512MiB`, `1.5 GB` as bytes; undefined if invalid. */
export function bytesOf(text: string): number | undefined {
  const [, number, unit = 'B'] = /^(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]+)?$/.exec(text) ?? [];
  const factor = UNITS[unit];
  return number === undefined || factor === undefined ? undefined : Math.round(Number(number) * factor);
}

const BITS: Record<string, number> = { bit: 1, kbit: 1e3, Kbit: 1e3, Mbit: 1e6, Gbit: 1e9 };

/** `2Mbit`, `1.5 Gbit/s` as bytes per second; undefined if invalid. */
export function bitRateOf(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]+)(?:\/s)?$/.exec(text) ?? [];
  const factor = BITS[unit];
  return number === undefined || factor === undefined ? undefined : (Number(number) * factor) / 8;
}

/** `22:30` as the minute of the day. */
export function minuteOf(text: string): number {
  const [hours, minutes] = text.split(':').map(Number) as [number, number];
  return 60 * hours + minutes;
}

/** In seconds. */
const DAY = 86_400;

/** An ISO 8601 duration of weeks, days and times, such as `P1D`, `PT90M`, `P1DT12H`, in ms; undefined if invalid. */
export function durationOf(text: string): number | undefined {
  const form =
    /^P(?=.)(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?)?$/;
  const parts = form.exec(text)?.slice(1);
  if (!parts) return undefined;
  const [weeks, days, hours, minutes, seconds] = parts.map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return 1_000 * (weeks * 7 * DAY + days * DAY + hours * 3_600 + minutes * 60 + seconds);
}

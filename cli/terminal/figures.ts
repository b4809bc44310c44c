/** Numbers and durations for people. */

export { formatBytes } from '#proto/contract/quantity-text.ts';

/** Limits are in bits a second, as they are configured; rates of transfers are sizes a second. */
const bitUnits = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'];

/** `2 Mbit/s`, `1.5 Mbit/s`: a limit as it is configured. @param bytes a second */
export function formatBitRate(bytes: number): string {
  let value = bytes * 8;
  let unit = 0;
  for (; value >= 1_000 && unit < bitUnits.length - 1; unit += 1) value /= 1_000;
  return `${Math.round(value * 1_000) / 1_000} ${bitUnits[unit]}`;
}

/** `2030-01-01 14:00 UTC`; `14:00 UTC` within a day of `now`. */
export function formatClock(instant: number, now?: number): string {
  const text = new Date(instant).toISOString();
  const isNear = now !== undefined && Math.abs(instant - now) < 86_400_000;
  return `${isNear ? text.slice(11, 16) : text.slice(0, 16).replace('T', ' ')} UTC`;
}

/** `45 s`, `12 min`, `3 h 20 min`, `5 d 2 h` */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const plural = (count: number, noun: string, many = `${noun}s`): string =>
  `${count} ${count === 1 ? noun : many}`;

/** `sha256:0123456789ab…` */
export const shortDigest = (digest: string): string => `${digest.slice(0, digest.indexOf(':') + 13)}`;

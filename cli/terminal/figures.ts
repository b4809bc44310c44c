/** Numbers and instants for people. */

export { formatBytes, formatDuration, plural } from '#proto/contract/quantity-text.ts';

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

/** `sha256:0123456789ab…` */
export const shortDigest = (digest: string): string => `${digest.slice(0, digest.indexOf(':') + 13)}`;

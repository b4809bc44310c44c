import { formatDuration } from '#proto/contract/quantity-text.ts';
import { type Finding, fault, warning } from './check.ts';

/** Dates of certificates. Pure. */

const DAY_MS = 86_400_000;
/** Remaining time of a certificate that is worth a word, in ms; less for one that is made for a short time. */
const RENEW_MS = 30 * DAY_MS;
const RENEW_SHARE = 1 / 4;

/** `from` and `to` in ms since 1970. */
export type Validity = { from: number; to: number };

/** What is wrong with the dates of a certificate. @param certificate as the beginning of a sentence */
export function certificateDates(
  certificate: string,
  { from, to }: Validity,
  remedy: string,
  now: number,
): Finding[] {
  if (to <= now) return [fault(`${certificate} expired on ${dayOf(to)}`, remedy)];
  if (from > now) {
    const what = `${certificate} is not valid before ${dayOf(from)}, and the clock of this machine says ${dayOf(now)}`;
    return [fault(what, 'set the clock of the wrong side')];
  }
  const left = to - now;
  return left < Math.min(RENEW_MS, (to - from) * RENEW_SHARE)
    ? [warning(`${certificate} ends in ${formatDuration(left)}, on ${dayOf(to)}`, remedy)]
    : [];
}

/** `2027-01-31` */
export const dayOf = (at: number): string =>
  Number.isFinite(at) ? new Date(at).toISOString().slice(0, 10) : 'an unknown day';

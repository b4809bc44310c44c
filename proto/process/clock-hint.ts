/**
 * What to say where the clock of this machine may be the cause. A machine without a battery starts in 1970 and is wrong
 * until the network sets it; TLS and signatures fail until then. Pure.
 */

/** Min difference of two clocks that is worth a word, in ms. */
const MIN_OFF_MS = 10 * 60_000;

const timeOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** For the code of a failed TLS connection; undefined if the time of this machine is not the cause. */
export function certificateHint(code: string | undefined, now = Date.now()): string | undefined {
  const clock = `the clock of this machine says ${timeOf(now)}`;
  if (code === 'CERT_NOT_YET_VALID') return `its certificate is not valid yet, as ${clock}: set the clock`;
  if (code === 'CERT_HAS_EXPIRED') {
    return `its certificate has expired, as ${clock}: set the clock if it is wrong, else renew the certificate there`;
  }
  return undefined;
}

/** For a refusal by a server whose answer has this `Date` (RFC 9110, 6.6.1); undefined if both clocks agree. */
export function answerHint(date: string | undefined, now = Date.now()): string | undefined {
  const there = Date.parse(date ?? '');
  if (Number.isNaN(there) || Math.abs(there - now) < MIN_OFF_MS) return undefined;
  return `the clock of this machine says ${timeOf(now)}, that of the server ${timeOf(there)}: set the wrong one`;
}

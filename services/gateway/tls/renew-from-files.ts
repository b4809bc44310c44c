import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContextOptions } from 'node:tls';
import type { Log } from '#proto/bus/bus.ts';
import type { Tls } from '#proto/document/configuration.ts';
import { type CertificateAndKey, checkPair, readPair } from '#proto/http/certificate-pair.ts';
import { secureOptions } from './tls.ts';

/**
 * Interval between reads of the files, in ms. They are small, and their times are unreliable if a folder is swapped.
 */
const POLL_MS = 2_000;
const DAY_MS = 24 * 60 * 60 * 1_000;
/** A certificate that expires within this time is logged once a day, in ms. */
const SOON_MS = 14 * DAY_MS;

/** A server whose certificate can be replaced. */
export interface CertificateHolder {
  setSecureContext(options: SecureContextOptions): void;
}

type Clock = { pollMs?: number; now?: () => number };

/**
 * For a certificate from files: installs a new pair when they hold one. Open connections stay, new ones get the new
 * certificate. The files must read the same twice in a row, since their writer may not have finished; a pair that is
 * invalid then is logged once, and the old one stays. Ends with the signal.
 * @param inForce the pair that the server started with
 */
export async function renewFromFiles(
  server: CertificateHolder,
  files: () => Tls,
  inForce: CertificateAndKey,
  log: Log,
  signal: AbortSignal,
  { pollMs = POLL_MS, now = Date.now }: Clock = {},
): Promise<void> {
  let current = textOf(inForce);
  let ends = checkPair(inForce, files());
  let last = current;
  let complaint = '';
  let checkedEnd = warnBeforeEnd(log, ends, now());
  while (await pause(pollMs, signal)) {
    const read = await attempt(() => readPair(files()));
    const seen = 'pair' in read ? textOf(read.pair) : read.why;
    const isStable = seen === last;
    last = seen;
    if (Math.abs(now() - checkedEnd) > DAY_MS) checkedEnd = warnBeforeEnd(log, ends, now());
    if (!isStable) continue;
    if (seen === current) {
      complaint = '';
      continue;
    }
    const installed = 'pair' in read ? await attempt(() => install(read.pair)) : read;
    if ('why' in installed) {
      if (installed.why !== complaint)
        log.warn({}, `cannot install the new certificate; keeping the one in use: ${installed.why}`);
      complaint = installed.why;
      continue;
    }
    current = seen;
    complaint = '';
    log.info({ ends }, `installed a new certificate; it expires on ${ends.toISOString()}`);
    checkedEnd = warnBeforeEnd(log, ends, now());
  }

  async function install(pair: CertificateAndKey): Promise<CertificateAndKey> {
    ends = checkPair(pair, files());
    server.setSecureContext({ ...secureOptions, ...pair });
    return pair;
  }
}

const textOf = ({ cert, key }: CertificateAndKey) => `${cert}\0${key}`;

async function attempt(
  work: () => Promise<CertificateAndKey>,
): Promise<{ pair: CertificateAndKey } | { why: string }> {
  try {
    return { pair: await work() };
  } catch (error) {
    return { why: (error as Error).message };
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
  return !signal.aborted;
}

/** @returns the time of the check */
function warnBeforeEnd(log: Log, ends: Date, now: number): number {
  const left = ends.getTime() - now;
  const date = ends.toISOString();
  if (left < 0) log.warn({ ends }, `the certificate expired on ${date}, and clients reject it: renew it`);
  else if (left < SOON_MS) {
    log.warn({ ends }, `the certificate expires on ${date}, in ${Math.floor(left / DAY_MS)} days: renew it`);
  }
  return now;
}

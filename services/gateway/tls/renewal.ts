import type { Server } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#proto/bus/bus.ts';
import type { Tls } from '#proto/document/configuration.ts';
import { checkPair, type Pair, readPair, secureOptions } from './tls.ts';

/** How often the files are looked at, in ms. They are small; their times say little where a folder is swapped. */
const POLL_MS = 2_000;
const DAY_MS = 24 * 60 * 60 * 1_000;
/** A certificate that ends sooner than this is told of, each day, in ms. */
const SOON_MS = 14 * DAY_MS;

type Clock = { pollMs?: number; now?: () => number };

/**
 * Puts a new pair in force when the files hold one: connections that are open stay, new ones get the new certificate.
 * What is read must be the same twice in a row, since whoever writes may not have finished; a pair that is bad then is
 * told of once, and the old one stays. Ends with the signal.
 * @param inForce the pair that the server began with
 */
export async function renew(
  server: Pick<Server, 'setSecureContext'>,
  files: () => Tls,
  inForce: Pair,
  log: Log,
  signal: AbortSignal,
  { pollMs = POLL_MS, now = Date.now }: Clock = {},
): Promise<void> {
  let current = print(inForce);
  let ends = checkPair(inForce, files());
  let last = current;
  let complaint = '';
  let told = tellOfEnd(log, ends, now());
  while (await rest(pollMs, signal)) {
    const look = await attempt(() => readPair(files()));
    const seen = 'pair' in look ? print(look.pair) : look.why;
    const settled = seen === last;
    last = seen;
    if (now() - told > DAY_MS) told = tellOfEnd(log, ends, now());
    if (!settled) continue;
    if (seen === current) {
      complaint = '';
      continue;
    }
    const taken = 'pair' in look ? await attempt(() => use(look.pair)) : look;
    if ('why' in taken) {
      if (taken.why !== complaint) log.warn({}, `the certificate in use stays: ${taken.why}`);
      complaint = taken.why;
      continue;
    }
    current = seen;
    complaint = '';
    log.info({ ends }, `a new certificate is in use; it ends on ${ends.toISOString()}`);
    told = tellOfEnd(log, ends, now());
  }

  async function use(pair: Pair): Promise<Pair> {
    ends = checkPair(pair, files());
    server.setSecureContext({ ...secureOptions, ...pair });
    return pair;
  }
}

const print = ({ cert, key }: Pair) => `${cert}\0${key}`;

async function attempt(work: () => Promise<Pair>): Promise<{ pair: Pair } | { why: string }> {
  try {
    return { pair: await work() };
  } catch (error) {
    return { why: (error as Error).message };
  }
}

async function rest(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
  return !signal.aborted;
}

/** @returns when it looked */
function tellOfEnd(log: Log, ends: Date, now: number): number {
  const left = ends.getTime() - now;
  const date = ends.toISOString();
  if (left < 0) log.warn({ ends }, `the certificate ended on ${date}, and clients refuse it: renew it`);
  else if (left < SOON_MS) {
    log.warn({ ends }, `the certificate ends on ${date}, in ${Math.floor(left / DAY_MS)} days: renew it`);
  }
  return now;
}

import { isIPv4 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { accountsStatus } from '#proto/accounts/accounts.ts';
import { jittered } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';

const PATIENCE_MS = 5_000;
/** Between questions that storage did not answer; as much again by chance. */
const PAUSE_MS = 500;

/** Can nobody but this machine reach it? */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** Between looks for a token that is to come, in ms. */
const POLL_MS = 1_000;

/**
 * Is there a token? Waits as long as it takes to know.
 * @param awaited one is to come from a document: it is waited for
 * @returns false where `signal` aborted
 * @throws Fault `config-invalid` where there is none, with the remedy
 */
export async function hasToken(
  bus: Bus,
  listen: string,
  log: Log,
  signal: AbortSignal,
  awaited = false,
): Promise<boolean> {
  let said = false;
  for (let told = false; !signal.aborted; told = true) {
    try {
      const { tokens } = await bus.call(accountsStatus, {}, { patience: told ? PATIENCE_MS : 0, signal });
      if (tokens > 0) return true;
      if (awaited) {
        if (!said) log.warn({ listen }, 'waits for the first token: the configuration document declares it');
        said = true;
        await sleep(POLL_MS, undefined, { signal }).catch(() => {});
        continue;
      }
      throw new Fault(
        'config-invalid',
        `${listen} can be reached from other machines, and there is no token yet: make one (terrace token create NAME …), then start again; or start with --insecure-listen, and everybody may do everything`,
      );
    } catch (error) {
      if (signal.aborted) return false;
      if (!Fault.is(error, 'unavailable')) throw error;
      if (!told) log.warn({ listen }, 'waits for storage: it knows whether there are tokens');
      await sleep(jittered(PAUSE_MS), undefined, { signal }).catch(() => {});
    }
  }
  return false;
}

import { setTimeout as sleep } from 'node:timers/promises';
import { accountsStatus } from '#proto/accounts/accounts.ts';
import { jittered } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { isClosed, isContainer } from '#proto/document/resolve/module-environment.ts';
import { parseListen } from '../http/listen-address.ts';

const PATIENCE_MS = 5_000;
/** Delay before a retry while storage does not answer, in ms, ± 25 %. */
const PAUSE_MS = 500;

/** Interval between checks for an awaited token, in ms. */
const POLL_MS = 1_000;

/** Whom a layer admits while it has no token, and when its gateway starts. */
export type Admission = {
  /** While the layer has no token, everyone may do everything; else nobody is admitted. */
  open: boolean;
  /** While it is open, everyone may also operate it: no other machine, and no name of another one, reaches it. */
  openOperate?: true;
  /**
   * `open`: at once. `closed`: at once; the first token may be created later. `need-token`: only if the layer has a
   * token. `await-token`: once it has one, which a document declares, or an operator creates in a container.
   */
  start: 'open' | 'closed' | 'need-token' | 'await-token';
};

/**
 * Only a layer that no other machine can reach is open, unless its environment allows more. A module of IoT Edge starts
 * closed instead of failing: its tokens are created from outside.
 * @param env of the gateway @throws Fault `config-invalid` for the address
 */
export function admissionOf(env: NodeJS.ProcessEnv, listen: string): Admission {
  const isLocal = isLoopback(parseListen(listen).host);
  const awaitsToken = env.TERRACE_AWAIT_TOKEN === '1' || (isContainer(env) && !isLocal);
  const isInsecure = env.TERRACE_INSECURE_LISTEN === '1';
  if (isClosed(env) || (env.IOTEDGE_WORKLOADURI && !isLocal)) return { open: isInsecure, start: 'closed' };
  if (isInsecure) return { open: true, start: 'open' };
  if (isLocal && !awaitsToken) return { open: true, openOperate: true, start: 'open' };
  return { open: false, start: awaitsToken ? 'await-token' : 'need-token' };
}

export type TokenDeps = {
  bus: Bus;
  listen: string;
  log: Log;
  signal: AbortSignal;
  /** Wait for the first token, which a document declares or this command creates. `onAwaited`: there is none yet. */
  awaited?: { command: string; onAwaited?: () => void } | undefined;
};

/**
 * Whether the layer has a token. Waits until storage answers.
 * @returns false if `signal` aborted
 * @throws Fault `config-invalid` if the layer has no token and none is awaited, with the remedy
 */
export async function hasToken({ bus, listen, log, signal, awaited }: TokenDeps): Promise<boolean> {
  let warned = false;
  for (let retried = false; !signal.aborted; retried = true) {
    try {
      const { tokens } = await bus.call(accountsStatus, {}, { patience: retried ? PATIENCE_MS : 0, signal });
      if (tokens > 0) return true;
      if (awaited) {
        if (!warned) {
          const why = `other machines reach ${listen}, which therefore waits for the first token of the layer`;
          log.warn({ listen }, `${why}; create it: ${awaited.command}`);
          awaited.onAwaited?.();
        }
        warned = true;
        await sleep(POLL_MS, undefined, { signal }).catch(() => {});
        continue;
      }
      throw new Fault(
        'config-invalid',
        `${listen} is reachable from other machines, and the layer has no token: create one (terrace token create NAME …), then start again; or start with --insecure-listen, which allows everything to everyone`,
      );
    } catch (error) {
      if (signal.aborted) return false;
      if (!Fault.is(error, 'unavailable')) throw error;
      if (!retried) log.warn({ listen }, 'waiting for storage, to check that a token exists');
      await sleep(jittered(PAUSE_MS), undefined, { signal }).catch(() => {});
    }
  }
  return false;
}

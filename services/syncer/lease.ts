import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus, Log } from '#proto/bus.ts';
import { COORDINATOR_KEY, LEASE_MS, lease } from '#proto/status.ts';

const RENEW_MS = LEASE_MS / 4;

/**
 * Tries to be the coordinator for as long as `signal` lets it, and tells each change. The lease is a state entry that
 * ends by itself; whoever has it renews it, and gives it up by its own clock when it could not for as long as it
 * lasts. Two coordinators for a moment cost requests, never correctness: storage compares before each change.
 */
export async function holdLease(
  bus: Bus,
  holder: string,
  signal: AbortSignal,
  log: Log,
  tell: (held: boolean) => void,
): Promise<void> {
  let revision: number | undefined;
  let renewed = 0;
  const lose = () => {
    if (revision === undefined) return;
    revision = undefined;
    log.warn({}, 'no longer the coordinator');
    tell(false);
  };
  while (!signal.aborted) {
    const asked = Date.now();
    try {
      const next = await swap(bus, holder, revision);
      if (next === undefined) lose();
      else {
        renewed = asked;
        if (revision === undefined) {
          revision = next;
          log.info({}, 'coordinator of this layer');
          tell(true);
        }
        revision = next;
      }
    } catch (err) {
      log.debug({ err }, 'the lease could not be renewed');
      if (Date.now() - renewed > LEASE_MS) lose();
    }
    await sleep(RENEW_MS * (0.8 + Math.random() * 0.4), undefined, { signal }).catch(() => {});
  }
  if (revision === undefined) return;
  tell(false);
  await bus.remove(lease, COORDINATOR_KEY).catch(() => {});
}

/** @returns the new revision, undefined where somebody else has it */
async function swap(bus: Bus, holder: string, revision: number | undefined): Promise<number | undefined> {
  const next =
    revision === undefined ? undefined : await bus.swap(lease, COORDINATOR_KEY, { holder }, revision);
  // The store of the bus may have been lost and made again, or our own write answered too late.
  return next ?? (await takeOver(bus, holder));
}

async function takeOver(bus: Bus, holder: string): Promise<number | undefined> {
  const found = await bus.get(lease, COORDINATOR_KEY);
  if (found && found.value.holder !== holder) return undefined;
  return bus.swap(lease, COORDINATOR_KEY, { holder }, found?.revision ?? 0);
}

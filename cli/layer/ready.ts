import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import { serviceNames } from '#proto/contract/users.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { bridgeStatus, serviceStatus } from '#proto/status/status.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { connectOperator } from '../connection/connect.ts';
import { accepts, parseAddress } from '../data/ports.ts';
import { BUS_PROGRAM, COMPACT_PROGRAM } from './programs.ts';

const ASK_AGAIN_MS = 50;
const TELL_MS = 10_000;

type Running = { data: string; url: string; pids(): Record<string, number> };

/** Resolves when each program of the layer does its work, and not only runs. */
export async function whenReady(
  layer: Running,
  signal: AbortSignal,
  waiting: (missing: string[]) => void,
): Promise<void> {
  const expected = Object.keys(layer.pids()).flatMap((name) =>
    name === BUS_PROGRAM ? [] : name === COMPACT_PROGRAM ? serviceNames : [name],
  );
  await using bus = await connectOperator(layer.data, 'terrace-up');
  const done = new Set<string>();
  for (let told = Date.now(); ; await sleep(ASK_AGAIN_MS, undefined, { signal })) {
    const missing = expected.filter((name) => !done.has(name));
    if (missing.length === 0) return;
    if (Date.now() - told > TELL_MS) {
      told = Date.now();
      waiting(missing);
    }
    for (const name of missing) if (await serves(name, layer, bus)) done.add(name);
  }
}

async function serves(name: string, layer: Running, bus: Bus): Promise<boolean> {
  try {
    const pids = layer.pids();
    const pid = pids[name] ?? pids[COMPACT_PROGRAM];
    const runs = async (service: string) =>
      [...(await bus.list(serviceStatus)).values()].some(
        (status) => status.pid === pid && status.service === service,
      );
    if (name.startsWith('gateway')) {
      return (await accepts(parseAddress(layer.url.replace(/^https?:\/\//, '')))) && (await runs('gateway'));
    }
    if (name === 'storage') return Boolean(await bus.call(storageStatus, {}, { patience: 0 }));
    if (name === 'twin-bridge') {
      await bus.call(bridgeStatus, {}, { patience: 0 });
      return (await bus.get(configuration, CONFIGURATION_KEY)) !== undefined;
    }
    return await runs('syncer');
  } catch {
    return false;
  }
}

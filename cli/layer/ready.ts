import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import { serviceNames } from '#proto/contract/users.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { bridgeStatus, serviceStatus } from '#proto/status/status.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { connectOperator } from '../connection/connect.ts';
import { accepts, parseAddress } from '../data/ports.ts';
import { BUS_PROGRAM, COMPACT_PROGRAM } from './programs.ts';

/** Poll interval, in ms. */
const POLL_MS = 50;
/** Interval between reports of the missing programs, in ms. */
const REPORT_MS = 10_000;

type Running = { data: string; url: string; programs(): string[]; pids(): Record<string, number> };

/**
 * Resolves when every program of the layer serves, and not merely runs, with the configuration of its document.
 * @param waiting called every `REPORT_MS` with the programs that do not serve yet
 */
export async function whenReady(
  layer: Running,
  signal: AbortSignal,
  waiting: (missing: string[]) => void,
): Promise<void> {
  const expected = layer
    .programs()
    .flatMap((name) => (name === BUS_PROGRAM ? [] : name === COMPACT_PROGRAM ? serviceNames : [name]));
  await using bus = await connectOperator(layer.data, 'terrace-up');
  const serving = new Set<string>();
  for (let reported = performance.now(); ; await sleep(POLL_MS, undefined, { signal })) {
    const missing = expected.filter((name) => !serving.has(name));
    if (missing.length === 0) return;
    if (performance.now() - reported > REPORT_MS) {
      reported = performance.now();
      waiting(missing);
    }
    for (const name of missing) if (await serves(name, layer, bus)) serving.add(name);
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
      const { pending } = await bus.call(bridgeStatus, {}, { patience: 0 });
      return !pending && (await bus.get(configuration, CONFIGURATION_KEY)) !== undefined;
    }
    return await runs('syncer');
  } catch {
    return false;
  }
}

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { testLayer } from '../test/support/layer.ts';
import { startProxy } from '../test/support/proxy/fault-proxy.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import type { Comparison, Subject } from './measure.ts';

const MINUTE = 60_000;
/** Tick of the kernel's accounting of CPU time, in ms. */
const TICK_MS = 10;
/** Time after which the work that follows a start is done, in ms. */
const SETTLE_MS = 90_000;

/** Requests, events and CPU time per minute of a layer in which nothing happens, below another layer. */
export const quiet: Subject = async ({ rounds, progress }) => {
  const live = { schedule: '* * * * *', logLevel: 'info' } as const;
  await using top = await testLayer({ ...live, name: 'top', mode: 'ReadWrite' });
  await pushImage(top.host, 'app', 'v1');
  await using link = await startProxy(top.url);
  await using split = await testLayer({ ...live, name: 'split', parent: link.url, mode: 'ReadWrite' });
  await using compact = await testLayer({ ...live, name: 'compact', parent: top.url, compact: true });
  await using registry = await startCloud();
  for (const layer of [split, compact]) await layer.sync();
  progress('quiet: waiting for the layers to settle');
  await sleep(SETTLE_MS);
  const counters = {
    'requests of the layer': () => link.requests.length,
    'events of the layer': () => split.events.length,
    'events of the layer above': () => top.events.length,
  };
  const counts: Record<string, number[]> = {};
  const processes = Object.fromEntries(
    Object.entries({ split, compact, 'layer above': top }).map(([name, layer]) => [name, layer.pids()]),
  );
  const shares: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round += 1) {
    progress(`quiet: minute ${round + 1} of ${rounds}`);
    const before = Object.values(counters).map((count) => count());
    const used = new Map(cpuTimes(processes));
    const registryBefore = cpuMs(registry.pid as number);
    const start = performance.now();
    await sleep(MINUTE);
    const ms = performance.now() - start;
    const share = (spent: number) => (100 * spent) / ms;
    for (const [index, [name, count]] of Object.entries(counters).entries()) {
      add(counts, name, count() - (before[index] as number));
    }
    for (const [name, spent] of cpuTimes(processes)) add(shares, name, share(spent - (used.get(name) ?? 0)));
    add(shares, 'docker-registry', share(cpuMs(registry.pid as number) - registryBefore));
  }
  return [
    {
      subject: 'a minute in which nothing happens: requests and events',
      unit: '',
      better: 'less',
      values: counts,
      ratios: false,
    },
    {
      subject: 'a minute in which nothing happens: share of one processor',
      unit: '%',
      better: 'less',
      values: shares,
      ratios: false,
    },
  ] satisfies Comparison[];
};

function add(values: Record<string, number[]>, name: string, value: number): void {
  values[name] = [...(values[name] ?? []), value];
}

/** CPU time of each layer, and of each of its processes, in ms. */
function cpuTimes(layers: Record<string, Record<string, number>>): [string, number][] {
  return Object.entries(layers).flatMap(([layer, pids]) => {
    const each = Object.entries(pids).map(
      ([name, pid]) => [`${layer}: ${name}`, cpuMs(pid)] as [string, number],
    );
    return [[layer, each.reduce((sum, [, ms]) => sum + ms, 0)] as [string, number], ...each];
  });
}

/** CPU time that a process has used so far, in ms. */
function cpuMs(pid: number): number {
  // The fields after the name, which may contain any character: from the third on.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

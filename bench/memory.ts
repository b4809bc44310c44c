import { setTimeout as sleep } from 'node:timers/promises';
import { testLayer } from '../test/support/layer.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import type { Comparison, Subject } from './measure.ts';
import { type Field, memoryOf } from './resident.ts';

const IDLE_MS = 15_000;

const columns: Record<string, { field: Field; note?: string }> = {
  resident: { field: 'VmRSS' },
  proportional: {
    field: 'Pss',
    note: 'Proportional: pages that several processes share, also processes outside of the layer, are divided among them.',
  },
  own: {
    field: 'RssAnon',
    note: 'Own: without the pages of program files, which all Node processes share (50 MB) and the system can reclaim.',
  },
  highest: { field: 'VmHWM' },
};

/** Memory of an idle layer, process by process, after a small pass. */
export const memory: Subject = async ({ progress }) => {
  await using cloud = await startCloud();
  await pushImage(cloud.host, 'bench/idle', '1', { layers: [100_000, 200_000] });
  const comparisons: Comparison[] = [];
  for (const compact of [false, true]) {
    await using layer = await testLayer({
      name: 'bench',
      parent: cloud.url,
      repositories: ['*'],
      logLevel: 'warn',
      compact,
    });
    await layer.sync();
    const kind = compact ? 'idle compact layer' : 'idle layer';
    progress(`memory: waiting for the ${kind} to settle`);
    await sleep(IDLE_MS);
    comparisons.push(...(await table(kind, layer.pids(), cloud.pid)));
  }
  return comparisons;
};

async function table(
  kind: string,
  pids: Record<string, number>,
  registry: number | undefined,
): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  for (const [column, { field, note }] of Object.entries(columns)) {
    const values: Record<string, number[]> = {};
    let total = 0;
    for (const [name, pid] of Object.entries(pids)) {
      const mb = await memoryOf(pid, field);
      values[name] = [mb];
      total += mb;
    }
    if (registry) values['docker-registry (for comparison)'] = [await memoryOf(registry, field)];
    comparisons.push({
      subject: `${column} memory of an ${kind}, all processes together ${total.toFixed(0)} MB`,
      unit: 'MB',
      better: 'less',
      values,
      ratios: false,
      ...(note && { notes: [note] }),
    });
  }
  return comparisons;
}

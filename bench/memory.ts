import { setTimeout as sleep } from 'node:timers/promises';
import { startCloud } from '../test/support/cloud.ts';
import { pushImage } from '../test/support/image.ts';
import { testLayer } from '../test/support/layer.ts';
import type { Comparison, Subject } from './measure.ts';
import { type Field, memoryOf } from './resident.ts';

const IDLE_MS = 10_000;

/** What a layer holds while nothing happens, process by process, after it has synced a little. */
export const memory: Subject = async ({ progress }) => {
  await using cloud = await startCloud();
  await pushImage(cloud.host, 'bench/idle', '1', { layers: [100_000, 200_000] });
  await using layer = await testLayer({
    name: 'bench',
    parent: cloud.url,
    repositories: ['*'],
    logLevel: 'warn',
  });
  await layer.sync();
  progress('memory: waiting until the layer is idle');
  await sleep(IDLE_MS);
  const programs = Object.entries({ ...layer.pids(), 'docker-registry (for comparison)': cloud.pid ?? 0 });
  const columns: Record<string, Field> = { resident: 'VmRSS', proportional: 'Pss', highest: 'VmHWM' };
  const comparisons: Comparison[] = [];
  for (const [what, field] of Object.entries(columns)) {
    const values: Record<string, number[]> = {};
    for (const [name, pid] of programs) values[name] = [await memoryOf(pid, field)];
    const total = Object.entries(values).reduce(
      (sum, [name, [mb]]) => sum + (name in layer.pids() ? mb! : 0),
      0,
    );
    comparisons.push({
      subject: `${what} memory of an idle layer, all processes together ${total.toFixed(0)} MB`,
      unit: 'MB',
      better: 'less',
      values,
      ratios: false,
    });
  }
  comparisons[1]!.notes = ['Proportional: pages that several processes share are divided among them.'];
  return comparisons;
};

import { setTimeout as sleep } from 'node:timers/promises';
import { layerStatus } from '#proto/overview/layer-status.ts';
import { type TestLayer, testLayer } from '../test/support/layer.ts';
import { alternate, type Comparison, median, type Subject } from './measure.ts';
import { SlowParent } from './slow-parent.ts';

const MB = 1_000_000;
const MIB = 1024 * 1024;
/** Rate of the parent on each connection, in bytes a second. */
const CONNECTION_RATE = 20 * MB;
const COUNTS = [1, 2, 4, 8];
const MAX_ROUNDS = 3;

const kinds = [
  { description: 'one connection each', connections: 1 },
  { description: 'as many connections as help', connections: undefined },
];

/** An image of many layers into an empty layer, with 1 to 8 syncers, from a parent that is slow on each connection. */
export const syncers: Subject = async (options) => {
  const blobs = options.full ? 32 : 16;
  await using parent = await SlowParent.start({ blobs, size: 8 * MIB, rate: CONNECTION_RATE });
  const comparisons: Comparison[] = [];
  for (const { description, connections } of kinds) {
    const subject = `sync of ${blobs} blobs by several syncers, ${description}`;
    const contenders = COUNTS.map((count) => ({
      name: `terrace, ${count} syncer${count > 1 ? 's' : ''}`,
      run: () => runPass(parent, { syncers: count, ...(connections && { connections }) }),
    }));
    const rounds = Math.min(MAX_ROUNDS, options.rounds);
    const values = await alternate({ ...options, rounds }, subject, contenders);
    const notes = [...ratioNotes(Object.values(values)), ...sharedNotes];
    comparisons.push({ subject, unit: 'MB/s', better: 'more', values, ratios: false, notes });
  }
  return comparisons;
};

const sharedNotes = [
  `The parent sends ${CONNECTION_RATE / MB} MB/s on each connection; it and all syncers share the processors of this machine.`,
  'Over the duration that the pass reports. By the records of the parent, no byte of a blob was requested twice.',
];

const ratioNotes = ([one, ...others]: number[][]): string[] => [
  `Relative to one syncer: ${others.map((values, at) => `${COUNTS[at + 1]} have ${(median(values) / median(one ?? [])).toFixed(2)} ×`).join(', ')}.`,
];

/** @returns MB/s of one pass that pulls the complete image, begun when all syncers are running */
async function runPass(
  parent: SlowParent,
  setting: { syncers: number; connections?: number },
): Promise<number> {
  parent.sent = [];
  // With its window closed a layer begins no pass by itself.
  await using layer = await testLayer({
    ...setting,
    name: 'bench',
    parent: parent.url,
    repositories: ['scaled'],
    window: 'PT1M',
    logLevel: 'warn',
  });
  await waitForSyncers(layer, setting.syncers);
  const { ok, ms, failures } = await layer.sync({ now: true });
  if (!ok) throw new Error(`the pass failed: ${JSON.stringify(failures)}`);
  const sent = parent.sent.reduce((sum, { bytes }) => sum + bytes, 0);
  if (sent !== parent.size || hasOverlap(parent)) {
    throw new Error(`the parent sent ${sent} bytes of ${parent.size}, some of them more than once`);
  }
  return parent.size / 1_000 / ms;
}

/** Whether two answers had a byte in common. */
function hasOverlap({ sent }: SlowParent): boolean {
  const sorted = sent.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.start - b.start));
  return sorted.some(({ path, start }, at) => {
    const before = sorted[at - 1];
    return before?.path === path && before.start + before.bytes > start;
  });
}

async function waitForSyncers(layer: TestLayer, count: number): Promise<void> {
  for (const end = Date.now() + 20_000; ; await sleep(50)) {
    const { syncers, coordinator } = await layerStatus(layer.bus());
    if (syncers.length === count && coordinator) return;
    if (Date.now() > end) throw new Error(`${syncers.length} of ${count} syncers are running`);
  }
}

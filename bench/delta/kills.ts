import { setTimeout as sleep } from 'node:timers/promises';
import { MAX_REQUEST_BYTES } from '../../services/syncer/transfer/pieces/piece-sizing.ts';
import type { TestLayer } from '../../test/support/layer.ts';
import type { FaultProxy } from '../../test/support/proxy/fault-proxy.ts';
import { firstDifference } from '../../test/support/registry/image.ts';
import type { Subject } from '../measure.ts';
import { KillPlan } from './kill-plan.ts';
import { arrivals, slowDown, startHierarchy } from './layers.ts';
import { pushModel } from './model.ts';
import { leftovers, type UpdateBytes, WatchedUpdate } from './watched-update.ts';

const MIB = 1024 * 1024;
/** Time that the delta of each update takes over the link, in s: a long transfer, then mostly making and applying. */
const TRANSFERS_S = [60, 10, 10, 10];
/** Size of the delta, as a share of the update. */
const DELTA_SHARE = 0.052;
const PROGRAMS = ['gateway', 'storage', 'syncer-1', 'twin-bridge', 'nats-server'];
const REPOSITORY = 'models/weights';
const POLL_MS = 50;
/** Time for one update with all its kills, in ms. */
const MAX_UPDATE_MS = 600_000;

/** Updates of which 5 % changed, while processes on both sides of the link are killed at random moments. */
export const deltaKills: Subject = async ({ full, progress }) => {
  const size = (full ? 1_024 : 256) * MIB;
  const rateOf = (transferS: number) => (size * DELTA_SHARE) / transferS;
  await using stack = new AsyncDisposableStack();
  const fast = { rate: 200 * MIB, latency: 0 };
  const { layers, links } = await startHierarchy(stack, ['top', 'bottom'], fast, { mode: 'always' });
  const [top, bottom] = layers as [TestLayer, TestLayer];
  const [link] = links as [FaultProxy];
  const sides: Record<string, TestLayer> = { top, bottom };
  const push = async (version: number) => {
    const { manifest } = await pushModel(top.url, REPOSITORY, { tag: `v${version}`, size, version });
    return manifest;
  };
  progress('delta-kills: the first version');
  const first = arrivals([bottom], 'v1', performance.now());
  await push(1);
  await first;
  await slowDown({ layers, links }, { rate: rateOf(TRANSFERS_S[0] as number), latency: 0 });
  const plan = new KillPlan(
    Object.keys(sides).flatMap((side) => PROGRAMS.map((program) => ({ side, program }))),
  );
  const bytes: UpdateBytes[] = [];
  const times: string[] = [];
  for (const [at, transferS] of TRANSFERS_S.entries()) {
    link.bandwidth = { total: rateOf(transferS) };
    const image = { repository: REPOSITORY, tag: `v${at + 2}` };
    const update = await WatchedUpdate.begin([top, bottom], link, image, () => push(at + 2));
    const start = performance.now();
    await killAlong(update, plan, sides, (line) =>
      progress(`delta-kills: update ${at + 1} of ${TRANSFERS_S.length}, ${line}`),
    );
    times.push(`${((performance.now() - start) / 1_000).toFixed(0)} s`);
    bytes.push(await update.bytes());
  }
  const left = await leftovers(sides);
  const difference = await firstDifference(top.host, bottom.host, [REPOSITORY]);
  if (difference) throw new Error(difference);
  const sum = (field: keyof UpdateBytes) => bytes.reduce((total, each) => total + each[field], 0);
  const kills = plan.kills.length;
  const above = sum('crossed') - sum('delta');
  const total = size * bytes.length;
  const subject = `${bytes.length} updates of ${size / MIB} MiB, 5 % changed, with ${kills} kills on both sides`;
  return [
    {
      subject: `${subject}: bytes over the link, as a share of the updates`,
      unit: '%',
      better: 'less',
      values: {
        deltas: [(100 * sum('delta')) / total],
        'deltas with kills': [(100 * sum('crossed')) / total],
        'in full': [(100 * sum('blobs')) / total],
      },
      ratios: false,
      notes: [
        `All digests are right. After their pushes, the updates took ${times.join(', ')}.`,
        ...plan.lines(),
        `${sum('crossed')} bytes of deltas of ${sum('delta')} bytes crossed: ${above} above their size, ` +
          `${kib(above / Math.max(1, kills))} for each kill. Bound: ${kib(MAX_REQUEST_BYTES)} for each connection and kill.`,
        ...bytes.map(
          ({ delta, crossed, repeated, blobs }, at) =>
            `Update ${at + 1}: ${crossed} bytes of ${delta}, ${repeated} of them repeatedly; ${blobs} of blobs.`,
        ),
        `Ingests and scratch files at the end: ${listOf(left.first)}; after garbage collection: ${listOf(left.last)}.`,
      ],
    },
  ];
};

const listOf = (names: readonly string[]) => (names.length > 0 ? names.join(', ') : 'none');

const kib = (bytes: number) => `${(bytes / 1024).toFixed(0)} KiB`;

/** Kills by the plan until the update is there. @throws Error if it is not there in time */
async function killAlong(
  update: WatchedUpdate,
  plan: KillPlan,
  sides: Record<string, TestLayer>,
  progress: (line: string) => void,
): Promise<void> {
  const end = performance.now() + MAX_UPDATE_MS;
  plan.begin();
  let phase = await update.phase();
  let victim = plan.next(phase);
  let next = performance.now() + (victim?.delayMs ?? 0);
  for (; !(await update.isThere()); await sleep(POLL_MS)) {
    const now = performance.now();
    if (now > end) throw new Error(`the update did not arrive; ${plan.lines().join('; ')}`);
    const current = await update.phase();
    if (current === phase && (!victim || now < next)) continue;
    if (current === phase && victim) {
      const layer = sides[victim.side];
      // It may still be down from the last time.
      if (!layer || layer.pids()[victim.program] === undefined) continue;
      layer.killWithoutWaiting(victim.program);
      plan.killed(victim, phase);
      progress(`${phase}: ${victim.program} of ${victim.side} is killed`);
    }
    phase = current;
    victim = plan.next(phase);
    next = now + (victim?.delayMs ?? 0);
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { storageStatus } from '#proto/status/storage-status.ts';
import { bytesOf } from '../../test/support/proxy/requests.ts';
import { firstDifference } from '../../test/support/registry/image.ts';
import type { Subject } from '../measure.ts';
import { arrivals, madeBy, slowDown, startHierarchy } from './layers.ts';
import { pushModel } from './model.ts';

const MIB = 1024 * 1024;
/** Of the link, in bytes a second: an update takes tens of seconds. */
const RATE = 2_000_000;
/** Time between two kills, in ms. */
const INTERVAL_MS = { min: 1_500, max: 6_000 };
const PROGRAMS = ['gateway', 'storage', 'syncer-1', 'nats-server'];
const REPOSITORY = 'models/weights';

/** An update of which 5 % changed, while processes on both sides of the link are killed at random moments. */
export const deltaKills: Subject = async ({ full, progress }) => {
  const size = (full ? 1_024 : 128) * MIB;
  await using stack = new AsyncDisposableStack();
  const { layers, links } = await startHierarchy(
    stack,
    ['top', 'bottom'],
    { rate: 200 * MIB, latency: 0 },
    'always',
  );
  const [top, bottom] = layers as [(typeof layers)[0], (typeof layers)[0]];
  const [link] = links as [(typeof links)[0]];
  progress('delta-kills: the first version');
  const first = arrivals([bottom], 'v1', performance.now());
  await pushModel(top.url, REPOSITORY, { tag: 'v1', size, version: 1 });
  await first;
  await slowDown({ layers, links }, { rate: RATE, latency: 0 });
  link.requests = [];
  await pushModel(top.url, REPOSITORY, { tag: 'v2', size, version: 2 });
  const arrived = arrivals([bottom], 'v2', performance.now());
  let isDone = false;
  arrived.then(
    () => {
      isDone = true;
    },
    () => {},
  );
  let kills = 0;
  while (!isDone) {
    const { min, max } = INTERVAL_MS;
    await Promise.race([arrived, sleep(min + Math.random() * (max - min))]);
    if (isDone) break;
    const layer = layers[kills % 2] as (typeof layers)[0];
    const program = PROGRAMS[Math.floor(Math.random() * PROGRAMS.length)] as string;
    progress(`delta-kills: ${kills} kills; now ${program}`);
    await layer.kill(program);
    kills += 1;
  }
  const [seconds] = (await arrived) as [number];
  const difference = await firstDifference(top.host, bottom.host, [REPOSITORY]);
  if (difference) throw new Error(difference);
  const status = await bottom.bus().call(storageStatus, {});
  const deltas = bytesOf(link.requests, /^\/v2\/_terrace\/deltas\//);
  const plain = bytesOf(link.requests, /\/blobs\//);
  const subject = `an update of ${size / MIB} MiB, 5 % changed, with ${kills} kills on both sides`;
  const values = { deltas: [(100 * deltas) / size], 'in full': [(100 * plain) / size] };
  const notes = [
    `${seconds.toFixed(0)} s. Made: ${madeBy(top).count}. Ingests left: ${status.ingests.length}.`,
    `Deltas that the bottom layer keeps: ${status.deltas?.count ?? 0}, of ${status.deltas?.bytes ?? 0} bytes; ${deltas} bytes crossed.`,
  ];
  return [
    {
      subject: `${subject}: bytes over the link, as a share of the update`,
      unit: '%',
      better: 'less',
      values,
      ratios: false,
      notes,
    },
  ];
};

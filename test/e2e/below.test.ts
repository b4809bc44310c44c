import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '#proto/bus/bus.ts';
import { blobCommitted } from '#proto/content/content-events.ts';
import { layersBelow } from '#proto/status/layers-below.ts';
import { dataFolder } from '../../cli/data/data-folder.ts';
import { quiet } from '../support/bus.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { type FaultProxy, startProxy } from '../support/proxy/fault-proxy.ts';
import { pushImage } from '../support/registry/image.ts';
import { random } from '../support/time/random.ts';
import { until as untilSo } from '../support/until.ts';

/** top → middle → bottom: events and status of the bottom are reported to the top. */

const LIVE = '* * * * *';
/** Number of events that the bottom publishes while links and processes fail. */
const EVENTS = Number(process.env.TERRACE_EVENTS ?? 1_500);
const stack = new AsyncDisposableStack();
let top: TestLayer;
let middle: TestLayer;
let bottom: TestLayer;
let link: FaultProxy;

before(async () => {
  top = stack.use(await testLayer({ name: 'top', mode: 'ReadWrite', compact: true }));
  link = stack.use(await startProxy(top.url));
  middle = stack.use(await testLayer({ name: 'middle', parent: link.url, schedule: LIVE }));
  bottom = stack.use(await testLayer({ name: 'bottom', parent: middle.url, schedule: LIVE, compact: true }));
});
after(() => stack.disposeAsync());

/** Ids of the events of layer `of`, in the order of the stream of the layer `at`. */
async function idsAt(at: TestLayer, of: string, since = 1): Promise<string[]> {
  const ids: string[] = [];
  for await (const past of at.bus().history({ since })) {
    if ('event' in past && past.event.layer?.split('/').at(-1) === of) ids.push(past.event.id);
  }
  return ids;
}

const until = (condition: () => Promise<boolean>, what: string, ms?: number): Promise<void> =>
  untilSo(() => condition().catch(() => false), what, ms);

/** Waits until all events of the bottom up to the one of this size are at the top: each once, in order. */
async function arrive(size: number): Promise<void> {
  const published: string[] = [];
  for await (const past of bottom.bus().history({ since: 1 })) {
    if (!('event' in past)) continue;
    published.push(past.event.id);
    if ((past.event.data as { size?: number }).size === size) break;
  }
  const last = published.at(-1) as string;
  const hasLast = async () => {
    const newest = Math.max(1, (await top.bus().archive.bounds()).last - 1_000);
    return (await idsAt(top, 'bottom', newest)).includes(last);
  };
  await until(hasLast, `event ${last} at the top`, 30_000 + 10 * EVENTS);
  const received = await idsAt(top, 'bottom');
  assert.deepEqual(differences(published, received.slice(0, received.indexOf(last) + 1)), []);
}

/** A line for each id that is missing or duplicated, and for the first one out of order. */
function differences(published: string[], received: string[]): string[] {
  const all = new Set(received);
  const twice = (ids: string[]) => ids.filter((id, index) => ids.indexOf(id) !== index);
  const first = published.findIndex((id, index) => received[index] !== id);
  return [
    ...published.filter((id) => !all.has(id)).map((id) => `missing: ${id}`),
    ...twice(received).map((id) => `received twice: ${id}`),
    ...twice(published).map((id) => `published twice: ${id}`),
    ...(first < 0
      ? []
      : [`from ${first} on: ${published.slice(first, first + 3)} but ${received.slice(first, first + 3)}`]),
  ];
}

/** A connection of the user storage at the bottom, which may publish events of storage. */
async function connectStorage(): Promise<Bus> {
  const folder = dataFolder(bottom.data);
  const read = async (path: string) => (await readFile(path, 'utf8')).trim();
  return Bus.connect({
    url: await read(folder.busUrl),
    user: 'storage',
    password: await read(folder.password('storage')),
    layer: 'bottom',
    instance: `storage-of-test-${randomUUID()}`,
    log: quiet,
  });
}

const digest = `sha256:${'0'.repeat(64)}`;
const publish = (bus: Bus, size: number) => bus.publish(blobCommitted, { digest, size });

test('events of the bottom and the link states of the layers below reach the top', async () => {
  await pushImage(top.host, 'app', 'v1');
  await using bus = await connectStorage();
  for (let size = 1; size <= 50; size += 1) publish(bus, size);
  await arrive(50);
  const areOnline = async () => {
    const all = await top.bus().list(layersBelow);
    const paths = all
      .get('middle')
      ?.layers.map(({ path, link: { state } = { state: '' } }) => [...path, state]);
    return JSON.stringify(paths) === '[["Online"],["bottom","Online"]]';
  };
  await until(areOnline, 'middle and bottom are Online');
});

test('cut links and killed processes lose no event, and none is received twice', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const next = random(seed);
  const victims: [TestLayer, string][] = [
    [middle, 'nats-server'],
    [bottom, 'layer'],
    [top, 'layer'],
    [bottom, 'nats-server'],
    [middle, 'gateway'],
    [top, 'nats-server'],
    [middle, 'syncer-1'],
  ];
  await using bus = await connectStorage();
  const slice = Math.ceil(EVENTS / (victims.length + 2));
  let size = 1_000;
  for (let round = 0; round < victims.length + 2; round += 1) {
    if (round === 2) await link.down();
    if (round === 5) await link.up();
    for (let count = 0; count < slice; count += 1) publish(bus, ++size);
    await sleep(500 + 1_500 * next());
    const [layer, program] = victims[round] ?? [];
    if (layer && program) layer.killWithoutWaiting(program);
  }
  await arrive(size);
});

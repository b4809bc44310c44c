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

/** top → middle → bottom: what happens at the bottom is known at the top. */

const LIVE = '* * * * *';
/** How many events the bottom says while everything breaks; more with TERRACE_EVENTS. */
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

/** Ids of a layer's events, in the order in which the stream of another (or its own) has them. */
async function idsAt(at: TestLayer, of: string, since = 1): Promise<string[]> {
  const ids: string[] = [];
  for await (const past of at.bus().history({ since })) {
    if ('event' in past && past.event.layer?.split('/').at(-1) === of) ids.push(past.event.id);
  }
  return ids;
}

const until = (condition: () => Promise<boolean>, what: string, ms?: number): Promise<void> =>
  untilSo(() => condition().catch(() => false), what, ms);

/** All that the bottom has said up to the event of this size is at the top: once, in order. */
async function arrived(size: number): Promise<void> {
  const own: string[] = [];
  for await (const past of bottom.bus().history({ since: 1 })) {
    if (!('event' in past)) continue;
    own.push(past.event.id);
    if ((past.event.data as { size?: number }).size === size) break;
  }
  const last = own.at(-1) as string;
  const isThere = async () => {
    const newest = Math.max(1, (await top.bus().archive.bounds()).last - 1_000);
    return (await idsAt(top, 'bottom', newest)).includes(last);
  };
  await until(isThere, `event ${last} at the top`, 30_000 + 10 * EVENTS);
  const there = await idsAt(top, 'bottom');
  assert.deepEqual(differences(own, there.slice(0, there.indexOf(last) + 1)), []);
}

/** What is missing, what came twice, and the first that is out of order, in words. */
function differences(said: string[], heard: string[]): string[] {
  const all = new Set(heard);
  const twice = (ids: string[]) => ids.filter((id, index) => ids.indexOf(id) !== index);
  const first = said.findIndex((id, index) => heard[index] !== id);
  return [
    ...said.filter((id) => !all.has(id)).map((id) => `missing: ${id}`),
    ...twice(heard).map((id) => `heard twice: ${id}`),
    ...twice(said).map((id) => `said twice: ${id}`),
    ...(first < 0
      ? []
      : [`from ${first} on: ${said.slice(first, first + 3)} but ${heard.slice(first, first + 3)}`]),
  ];
}

/** Says events of a kind that the bottom's storage says. */
async function speaker(): Promise<Bus> {
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
const say = (bus: Bus, size: number) => bus.publish(blobCommitted, { digest, size });

test('what happens at the bottom is told at the top, and so is how it stands', async () => {
  await pushImage(top.host, 'app', 'v1');
  await using bus = await speaker();
  for (let size = 1; size <= 50; size += 1) say(bus, size);
  await arrived(50);
  const isKnown = async () => {
    const all = await top.bus().list(layersBelow);
    const paths = all
      .get('middle')
      ?.layers.map(({ path, link: { state } = { state: '' } }) => [...path, state]);
    return JSON.stringify(paths) === '[["Online"],["bottom","Online"]]';
  };
  await until(isKnown, 'middle and bottom are Online');
});

test('links that are cut and programs that are killed cost no event, and none comes twice', async (t) => {
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
  await using bus = await speaker();
  const slice = Math.ceil(EVENTS / (victims.length + 2));
  let said = 1_000;
  for (let round = 0; round < victims.length + 2; round += 1) {
    if (round === 2) await link.down();
    if (round === 5) await link.up();
    for (let count = 0; count < slice; count += 1) say(bus, ++said);
    await sleep(500 + 1_500 * next());
    const [layer, program] = victims[round] ?? [];
    if (layer && program) layer.killNow(program);
  }
  await arrived(said);
});

import { deepEqual, equal, ok } from 'node:assert/strict';
import { after, test } from 'node:test';
import { EventItem, StreamEnd, ViewerGap } from '#proto/api/events.ts';
import { check } from '#proto/contract/contract.ts';
import { imageFinished, passStarted } from '#proto/sync/passes.ts';
import { EventRing, entryOf, MAX_RING_BYTES } from '../../../services/gateway/api/stream/event-ring.ts';
import { Pace } from '../../../services/gateway/api/stream/pace.ts';
import { MAX_VIEWERS_PER_ACCOUNT } from '../../../services/gateway/api/stream/viewer-slots.ts';
import { until } from '../../support/until.ts';
import { basic, Tokens } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { SseReader } from './sse-reader.ts';

const layer = await GatewayRig.start({ recheckMs: 50 });
after(() => layer[Symbol.asyncDispose]());
const syncer = await layer.testBus.connect('syncer');

let published = 0;
function publish(count: number): void {
  for (let index = 0; index < count; index += 1) {
    published += 1;
    syncer.publish(passStarted, { pass: `p${published}`, coordinator: 's', cause: 'test' });
  }
}
const passesOf = (reader: SseReader) =>
  reader.events.flatMap(({ data }) =>
    data.type === 'pass.started' ? [(data.data as { pass: string }).pass] : [],
  );
const names = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `p${from + index}`);

test('a viewer gets each event once and in order, from where it begins', async () => {
  const reader = await SseReader.open(layer);
  equal(reader.status, 200);
  await until(() => reader.comments > 0);
  publish(20);
  await until(() => passesOf(reader).length === 20);
  deepEqual(passesOf(reader), names(1, 20));
  for (const { data } of reader.events) check(EventItem, data);
  await reader.end();
});

test('a viewer that comes back gets what happened meanwhile, by Last-Event-ID, sequence or time', async () => {
  const reader = await SseReader.open(layer, '?after=0');
  await until(() => passesOf(reader).length === 20);
  const last = reader.sequences.at(-1) as number;
  await reader.end();
  const before = Date.now();
  publish(700);
  const resumed = await SseReader.open(layer, '?after=0', { 'last-event-id': String(last) });
  await until(() => passesOf(resumed).length === 700);
  deepEqual(passesOf(resumed), names(21, 720));
  publish(5);
  await until(() => passesOf(resumed).length === 705);
  deepEqual(
    resumed.sequences,
    [...new Set(resumed.sequences)].sort((a, b) => a - b),
  );
  const since = await SseReader.open(layer, `?since=${before - 60_000}`);
  await until(() => passesOf(since).length === 725);
  deepEqual(passesOf(since), names(1, 725));
  await Promise.all([resumed.end(), since.end()]);
});

test('filters apply to what is stored and to what happens; a wrong one is refused', async () => {
  const some = await SseReader.open(layer, '?type=image&after=0');
  const none = await SseReader.open(layer, '?layer=none&after=0');
  publish(3);
  const digest = `sha256:${'0'.repeat(64)}`;
  syncer.publish(imageFinished, { pass: 'p', repository: 'a', tag: 't', digest, direction: 'down' });
  await until(() => some.events.length > 0);
  deepEqual(
    some.events.map(({ data }) => data.type),
    ['image.finished'],
  );
  equal(none.events.length, 0);
  await Promise.all([some.end(), none.end()]);
  equal((await layer.fetch('GET', '/api/v1/events/stream?type=A')).status, 400);
  equal((await layer.fetch('GET', '/api/v1/events/stream?x=1')).status, 400);
  for (const since of [
    '8640000000000000',
    '253402300800000',
    '-000001-01-01T00:00:00Z',
    '%2B010000-01-01',
    'x',
  ]) {
    for (const path of ['events', 'events/stream']) {
      equal((await layer.fetch('GET', `/api/v1/${path}?since=${since}`)).status, 400, `${path} ${since}`);
    }
  }
  for (const since of ['253402300799999', '9999-12-31T23:59:59Z', '0000-01-01T00:00:00Z', '0']) {
    equal((await layer.fetch('GET', `/api/v1/events?since=${since}`)).status, 200, since);
  }
});

test('a position that is not in the history is a gap, and reading begins at the first event', async () => {
  const reader = await SseReader.open(layer, '?after=1000000');
  await until(() => reader.events.length > 700);
  const [first] = reader.events;
  equal(first?.name, 'gap');
  check(ViewerGap, first?.data);
  deepEqual(first?.data, { from: 1_000_001, reason: 'lost' });
  await reader.end();
});

test('of more events in a second than a viewer asks for, the newest come, and a gap counts the others', async () => {
  const RATE = 50;
  const reader = await SseReader.open(layer, `?type=pass.started&rate=${RATE}`);
  await until(() => reader.comments > 0);
  publish(2_000);
  const lastPass = `p${published}`;
  await until(() => passesOf(reader).at(-1) === lastPass);
  const gaps = reader.events.flatMap(({ name, data }) => (name === 'gap' ? [data] : []));
  for (const gap of gaps) check(ViewerGap, gap);
  const leftOut = gaps.reduce((sum, { count }) => sum + Number(count), 0);
  equal(passesOf(reader).length + leftOut, 2_000);
  ok(leftOut > 1_000, `${leftOut} events were left out`);
  deepEqual(new Set(gaps.map(({ reason }) => reason)), new Set(['rate']));
  publish(3);
  await until(() => passesOf(reader).at(-1) === `p${published}`);
  deepEqual(passesOf(reader).slice(-3), names(published - 2, published));
  await reader.end();
  const late = await SseReader.open(layer, `?after=1&rate=${RATE}`);
  await until(() => passesOf(late).at(-1) === `p${published}`);
  equal(late.events[0]?.name, 'gap');
  ok(late.sequences.length <= 10 * RATE, `${late.sequences.length} of the events before`);
  await late.end();
  const start = performance.now();
  const since = await SseReader.open(layer, `?since=0&rate=200`);
  await until(() => passesOf(since).at(-1) === `p${published}`);
  equal(since.events[0]?.name, 'gap');
  ok(since.sequences.length <= 1_000, `${since.sequences.length} of the events before`);
  // Those of the first second come at once.
  ok(since.sequences.length <= 200 * (2 + (performance.now() - start) / 1_000));
  await since.end();
  equal((await layer.fetch('GET', '/api/v1/events/stream?rate=0')).status, 400);
});

test('the streams of one account are bounded', async () => {
  const readers = await Promise.all(
    Array.from({ length: MAX_VIEWERS_PER_ACCOUNT }, () => SseReader.open(layer)),
  );
  const refused = await layer.fetch('GET', '/api/v1/events/stream');
  deepEqual([refused.status, refused.headers.get('retry-after')], [429, '10']);
  await Promise.all(readers.map((reader) => reader.end()));
  await until(async () => {
    const again = await SseReader.open(layer);
    await again.end();
    return again.status === 200;
  });
});

test('viewers that leave while storage does not answer keep no places', async () => {
  await using other = await GatewayRig.start({ recheckMs: 50, patienceMs: 100 }, { apart: true });
  equal((await other.fetch('GET', '/api/v1/session')).status, 200);
  await other.storageDown();
  const count = { length: MAX_VIEWERS_PER_ACCOUNT };
  const readers = await Promise.all(Array.from(count, () => SseReader.open(other)));
  deepEqual(new Set(readers.map(({ status }) => status)), new Set([200]));
  equal((await other.fetch('GET', '/api/v1/events/stream')).status, 429);
  await Promise.all(readers.map((reader) => reader.end()));
  await until(async () => {
    const again = await SseReader.open(other);
    await again.end();
    return again.status === 200;
  });
});

test('a ring is bounded in entries and bytes, and finds entries by sequence', () => {
  const event = (text: string) => ({
    ...{ specversion: '1.0' as const, id: 'i', source: 's', type: 'terrace.t', time: 't' },
    data: { text },
  });
  const ring = new EventRing(1, 100, 10_000);
  for (let sequence = 1; sequence <= 1_000; sequence += 1) ring.add(entryOf(sequence, event('x'), undefined));
  ok(ring.size <= 100);
  deepEqual(
    ring.from(995, 10).map(({ sequence }) => sequence),
    [995, 996, 997, 998, 999, 1_000],
  );
  equal(ring.from(0, 10)[0]?.sequence, ring.first);
  equal(ring.next, 1_001);
  ring.add(entryOf(1_002, event('y'.repeat(MAX_RING_BYTES)), undefined));
  deepEqual([ring.size, ring.first, ring.next], [1, 1_001, 1_003]);
});

test('a stream ends with its reason when its token is disabled', async () => {
  const tokens = await Tokens.of(layer);
  const watcher = basic('watcher', await tokens.create('watcher', ['operate/read']));
  const other = basic('other', await tokens.create('other', ['operate/read']));
  const [ending, staying] = await Promise.all([
    SseReader.open(layer, '', watcher),
    SseReader.open(layer, '', other),
  ]);
  await until(() => ending.comments > 0 && staying.comments > 0);
  await tokens.enable('watcher', false);
  await ending.closed;
  const last = ending.events.at(-1);
  equal(last?.name, 'end');
  check(StreamEnd, last?.data);
  equal(last?.data.code, 'unauthorized');
  publish(1);
  await until(() => passesOf(staying).length === 1);
  await staying.end();
});

test('a viewer with a rate gets single events at once, and after a burst those of a second', () => {
  const pace = new Pace(10, 0);
  equal(pace.wait(1, 0), 0);
  deepEqual(pace.take(['a']), ['a']);
  equal(pace.wait(50, 0), 100);
  equal(pace.wait(50, 40), 60);
  equal(pace.wait(50, 100), 0);
  const fifty = Array.from({ length: 50 }, (_, index) => index);
  deepEqual(pace.take(fifty), fifty.slice(-10));
  equal(pace.wait(1, 150), 950);
  equal(pace.wait(1, 200), 0);
});

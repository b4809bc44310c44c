import { deepEqual, equal, match } from 'node:assert/strict';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Type } from '@sinclair/typebox';
import { createToken, deleteToken } from '#proto/accounts/accounts.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import {
  type LayersReport,
  layersBelow,
  type ReportAck,
  type ReportProgress,
  reportPath,
  reportProgress,
} from '#proto/status/layers-below.ts';
import { until } from '../../support/until.ts';
import { GatewayRig } from '../gateway-rig.ts';

/** Reports of the layers below, over HTTP. Each test has a child of its own. */

const layer = await GatewayRig.start({}, { apart: true });
after(() => layer[Symbol.asyncDispose]());
const operator = await layer.testBus.connect('operator');

const event = (serial: number, source = '/layers/line/a'): Envelope => ({
  specversion: '1.0',
  id: `${source.split('/').at(-1)}-${serial}`,
  source,
  type: 'terrace.tag.moved',
  time: '2030-01-01T00:00:00.000Z',
  layer: 'line',
  data: { serial },
});
const events = (from: number, to: number): LayersReport['events'] =>
  Array.from({ length: to - from + 1 }, (_, index) => ({
    sequence: from + index,
    event: event(from + index),
  }));

async function post(child: string, body: unknown, login = ''): Promise<Response> {
  const headers = {
    'content-type': 'application/json',
    'content-encoding': 'gzip',
    ...(login && { authorization: `Basic ${Buffer.from(login).toString('base64')}` }),
  };
  return layer.fetch('POST', reportPath(child), { headers, body: gzipSync(JSON.stringify(body)) });
}

/** @returns the status, and the place up to which the layer has the child's events */
async function report(child: string, fields: Partial<LayersReport>): Promise<[number, number | undefined]> {
  const response = await post(child, { made: 'm', events: [], ...fields });
  const { place } = (await response.json()) as ReportAck;
  return [response.status, place?.sequence];
}

/** Ids of the stored events of a child, in order. */
async function storedIds(child: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const past of operator.history({ since: 1 })) {
    if ('event' in past && past.child === child) ids.push(past.event.id);
  }
  return ids;
}
const deep = (levels: number): unknown => (levels === 0 ? 0 : [deep(levels - 1)]);
const ids = (from: number, to: number, source = 'a') =>
  Array.from({ length: to - from + 1 }, (_, index) => `${source}-${from + index}`);

test('events are stored in order, and only from the place up to which the layer has them', async () => {
  deepEqual(await report('one', {}), [200, undefined]);
  deepEqual(await report('one', { after: 5, events: events(6, 7) }), [409, undefined]);
  deepEqual(await report('one', { after: 0, events: events(1, 3) }), [200, 3]);
  deepEqual(await report('one', { after: 0, events: events(1, 3) }), [409, 3]);
  deepEqual(await report('one', { made: 'other', after: 3, events: events(4, 4) }), [409, 3]);
  deepEqual(await report('one', { after: 3, events: events(4, 5) }), [200, 5]);
  deepEqual(await storedIds('one'), ids(1, 5));
});

test('events that changed places in the stream of the child are stored, each once', async () => {
  const named = (serials: number[], from: number) =>
    serials.map((serial, index) => ({ sequence: from + index, event: event(serial) }));
  deepEqual(await report('swapped', { after: 0, events: named([2, 4, 1], 1) }), [200, 3]);
  deepEqual(await report('swapped', { after: 3, events: named([100, 5, 99], 4) }), [200, 6]);
  const order = ['a-2', 'a-4', 'a-1', 'a-100', 'a-99'];
  // The fifth is too far behind the last one: it counts as stored.
  deepEqual(await storedIds('swapped'), order);
  deepEqual(await report('swapped', { restart: true, events: named([2, 4, 1, 100, 99, 98], 1) }), [200, 6]);
  deepEqual(await storedIds('swapped'), [...order, 'a-98']);
});

test('a child that restarts its stream reports stored events again, and only the others are stored', async () => {
  await report('two', { after: 0, events: events(1, 5) });
  // The child's store was restored from a copy with three of them, and new events followed.
  const later = [
    { sequence: 4, event: event(1, '/layers/line/b') },
    { sequence: 5, event: event(2, '/layers/line/b') },
  ];
  deepEqual(await report('two', { restart: true, events: [...events(2, 3), ...later] }), [200, 5]);
  deepEqual(await storedIds('two'), [...ids(1, 5), ...ids(1, 2, 'b')]);
  deepEqual(
    await report('two', { after: 5, events: [{ sequence: 6, event: event(3, '/layers/line/b') }] }),
    [200, 6],
  );
});

test('events of a process that was killed before it stored its progress are taken into account', async () => {
  await report('three', { after: 0, events: events(1, 2) });
  for (const { sequence, event: one } of events(3, 4)) {
    await layer.bus.relay.store('three', { made: 'm', sequence }, one);
  }
  deepEqual(await report('three', { after: 2, events: events(3, 6) }), [409, 4]);
  deepEqual(await report('three', { after: 4, events: events(5, 6) }), [200, 6]);
  deepEqual(await storedIds('three'), ids(1, 6));
});

test('events that a power cut removed from the stream are requested again, and remaining ones are not', async () => {
  await report('cut', { after: 0, events: events(1, 4) });
  const known = await layer.bus.get(reportProgress, 'cut');
  const later = { ...(known?.value as ReportProgress), ...events(9, 9)[0], id: 'a-9', tail: 'a-9' };
  await layer.bus.put(reportProgress, 'cut', {
    ...later,
    stored: later.stored + 5,
    marks: { '/layers/line/a': 9 },
  });
  deepEqual(await report('cut', { after: 9, events: events(10, 10) }), [409, 4]);
  deepEqual(await report('cut', { after: 4, events: events(5, 10) }), [200, 10]);
  deepEqual(await storedIds('cut'), ids(1, 10));
});

test('events that the bus has lost are requested again', async () => {
  await report('four', { after: 0, events: events(1, 3) });
  await layer.testBus.kill({ forget: true });
  await layer.testBus.up();
  const isLost = async () => (await report('four', {}).catch(() => [503, 0]))[1] === undefined;
  while (!(await isLost()));
  deepEqual(await report('four', { after: 0, events: events(1, 3) }), [200, 3]);
  deepEqual(await storedIds('four'), ids(1, 3));
});

test('the status of the layers below is stored by child', async () => {
  const own = { path: [], name: 'line', mode: 'ReadOnly' as const, at: 1 };
  deepEqual(await report('five', { layers: [own, { ...own, path: ['cell'] }] }), [200, undefined]);
  const stored = await operator.get(layersBelow, 'five');
  deepEqual(
    stored?.value.layers.map(({ path }) => path),
    [[], ['cell']],
  );
});

const withEvent = (change: object): LayersReport['events'] => [
  { sequence: 1, event: { ...event(1), ...change } as unknown as Envelope },
];

test('events of a child are attributed to it and the layers below it, for any names in them', async () => {
  const sent = [
    event(1),
    { ...event(2, '/layers/top/gateway'), layer: 'top' },
    { ...event(3, '__proto__'), layer: 'liar/cell' },
    { ...event(4, '/layers/liar/x'), layer: 'liar', origin: 'other/7', extra: 'x' } as Envelope,
  ];
  const reported = sent.map((one, index) => ({ sequence: index + 1, event: one }));
  deepEqual(await report('liar', { after: 0, events: reported }), [200, 4]);
  const attributed: unknown[] = [];
  for await (const past of operator.history({ since: 1 })) {
    if ('event' in past && past.child === 'liar') {
      const { layer: at, source, origin, ...rest } = past.event;
      attributed.push([at, source, origin, 'extra' in rest]);
    }
  }
  deepEqual(attributed, [
    ['liar/line', '/layers/liar/line/a', 'm/1', false],
    ['liar/top', '/layers/liar/top/gateway', 'm/2', false],
    ['liar/cell', '/layers/liar/__proto__', 'm/3', false],
    ['liar', '/layers/liar/x', 'm/4', false],
  ]);
  // The child continues, and its events are recognized when it reports them again.
  deepEqual(await report('liar', { after: 4, events: [{ sequence: 5, event: event(5) }] }), [200, 5]);
  deepEqual(await report('liar', { restart: true, events: reported }), [200, 4]);
  equal((await storedIds('liar')).length, 5);
});

test('event data that are too large to pass between layers are replaced by their size', async () => {
  const large = { ...event(1), data: { text: 'x'.repeat(250_000) } };
  deepEqual(
    await report('large', { after: 0, events: [{ sequence: 1, event: large }, ...events(2, 2)] }),
    [200, 2],
  );
  const data: unknown[] = [];
  for await (const past of operator.history({ since: 1 })) {
    if ('event' in past && past.child === 'large') data.push(past.event.data);
  }
  deepEqual(data, [{ leftOutBytes: 250_011 }, { serial: 2 }]);
});

test('a child that exceeds its allowance is refused with Retry-After', async () => {
  const text = 'x'.repeat(120_000);
  const batch = (first: number) =>
    events(first, first + 14).map(({ sequence, event: one }) => ({
      sequence,
      event: { ...one, data: { text } },
    }));
  let last = 0;
  let answer: Response;
  do {
    answer = await post('flood', { made: 'm', after: last, events: batch(last + 1) });
    last += 15;
  } while (answer.status === 200 && last < 300);
  equal(answer.status, 429);
  match(answer.headers.get('retry-after') ?? '', /^[1-9]\d?$/);
  match(await answer.text(), /flood sends more than 131 kB\/s of events/);
  // Its earlier events are stored, and other children are not affected.
  deepEqual(await report('flood', {}), [200, last - 15]);
  deepEqual(await report('another', { after: 0, events: events(1, 1) }), [200, 1]);
});

test('a report of the maximum of layers is stored in full, with its long texts clipped', async () => {
  const own = { path: [] as string[], name: 'line', mode: 'ReadOnly' as const, at: 1 };
  const detail = 'ü'.repeat(3_000);
  const link = { state: 'Offline' as const, since: 1, coordinator: 'c', detail };
  const below = Array.from({ length: 255 }, (_, n) => ({ ...own, link, path: ['a', `b-${n}`] }));
  deepEqual(await report('wide', { layers: [own, ...below] }), [200, undefined]);
  const { layers = [] } = (await operator.get(layersBelow, 'wide'))?.value ?? {};
  equal(layers.length, 256);
  equal(layers[1]?.link?.detail?.length, 300);
});

/** Accepts what an earlier version stored. */
const untyped = { ...layersBelow, value: Type.Unknown() } as unknown as typeof layersBelow;

test('an unreadable report of an earlier version does not affect the reports of other children', async () => {
  const own = { path: [], name: 'line', mode: 'ReadOnly' as const, at: 1 };
  await report('intact', { after: 0, events: events(1, 1), layers: [own] });
  await layer.bus.put(untyped, 'unreadable', { seen: 1, layers: [{ ...own, path: 'x' }] } as never);
  equal((await operator.list(layersBelow)).get('intact')?.layers.length, 1);
  match(operator.unreadable().find(({ key }) => key === 'unreadable')?.reason ?? '', /^\/layers\/0\/path: /);
  // The next report of the child replaces it.
  await report('unreadable', { layers: [own] });
  equal((await operator.list(layersBelow)).get('unreadable')?.layers.length, 1);
});

for (const [what, child, body, status, message] of [
  [
    'an id that is too long',
    'bad',
    { made: 'm', after: 0, events: withEvent({ id: 'x'.repeat(400) }) },
    400,
    /\/events\/0\/event\/id: /,
  ],
  [
    'a line break in a source',
    'bad',
    { made: 'm', after: 0, events: withEvent({ source: 'a\nb' }) },
    400,
    /\/events\/0\/event\/source: /,
  ],
  [
    'a field __proto__',
    'bad',
    { made: 'm', after: 0, events: withEvent({ data: JSON.parse('{"__proto__":1}') }) },
    400,
    /\/events\/0\/event\/data\/__proto__: /,
  ],
  [
    'a field constructor in a status',
    'bad',
    { made: 'm', events: [], layers: [{ path: [], name: 'x', mode: 'ReadOnly', at: 1, constructor: {} }] },
    400,
    /\/layers\/0\/constructor: /,
  ],
  [
    'deeply nested data',
    'bad',
    { made: 'm', after: 0, events: withEvent({ data: deep(200) }) },
    400,
    /nested/,
  ],

  ['a missing field', 'bad', { events: [] }, 400, /\/made: /],
  ['an incomplete event', 'bad', { made: 'm', events: [{ sequence: 1 }] }, 400, /\/events\/0\/event: /],
  [
    'events out of order',
    'bad',
    { made: 'm', after: 0, events: [...events(2, 2), ...events(1, 1)] },
    400,
    /\/events\/1\/sequence: must be larger/,
  ],
  ['an invalid child name', 'a.b', { made: 'm', events: [] }, 400, /a\.b\\" is not valid: use/],
  [
    'a report that is too large',
    'bad',
    { made: 'x'.repeat(3_000_000), events: [] },
    413,
    /more than 2097152 bytes/,
  ],
] as const) {
  test(`${what} is refused with its cause`, async () => {
    const response = await post(child, body);
    equal(response.status, status);
    match(await response.text(), message);
  });
}

test('a report needs message/write on its child, also in a ReadOnly layer', async () => {
  const createLogin = async (name: string, ...actions: string[]) => {
    const { password } = await operator.call(createToken, { name, actions });
    return `${name}:${password}`;
  };
  const line = await createLogin('line-7', 'gateway/line-7/message/write');
  const other = await createLogin('line-8', 'gateway/line-8/message/write', 'gateway/line-7/message/read');
  layer.mode = 'ReadOnly';
  const body = { made: 'm', after: 0, events: events(1, 1) };
  equal((await post('line-7', body)).status, 401);
  const denied = await post('line-7', body, other);
  equal(denied.status, 403);
  match(await denied.text(), /token line-8 needs message\/write on line-7/);
  equal((await post('Line-7', body, line)).status, 200);
  deepEqual(await storedIds('line-7'), ids(1, 1));
});

test('the state of a child is deleted with its account, before or after its last report', async () => {
  const actions = ['gateway/deleted/message/write', 'gateway/deleted-2/message/write'];
  const { password } = await operator.call(createToken, { name: 'deleted', actions });
  const own = { path: [], name: 'deleted', mode: 'ReadOnly' as const, at: 1 };
  const body = { made: 'm', after: 0, events: events(1, 1), layers: [own] };
  for (const child of ['deleted', 'deleted-2'])
    equal((await post(child, body, `deleted:${password}`)).status, 200);
  const known = async () => {
    const layers = await operator.list(layersBelow);
    const progress = await layer.bus.list(reportProgress);
    return ['deleted', 'deleted-2'].flatMap((child) => [layers.has(child), progress.has(child)]);
  };
  deepEqual(await known(), [true, true, true, true]);
  const lastReport = await operator.get(layersBelow, 'deleted');
  await layer.bus.put(untyped, 'unread', { seen: 1, layers: 'none' } as never);
  await operator.call(deleteToken, { name: 'deleted' });
  await until(async () => !(await known()).includes(true));
  await until(async () => {
    await operator.list(layersBelow);
    return !operator.unreadable().some(({ key }) => key === 'unread');
  });
  // A report that was in progress meanwhile is stored after that.
  await layer.bus.put(layersBelow, 'deleted', lastReport?.value as NonNullable<typeof lastReport>['value']);
  await layer.storageDown();
  await layer.storageUp();
  await until(async () => !(await known()).includes(true));
  // Its events stay, and it continues from its last place once it has an account again.
  deepEqual(await storedIds('deleted'), ids(1, 1));
  const again = await operator.call(createToken, { name: 'deleted', actions });
  const next = { ...body, after: 1, events: events(2, 2) };
  equal((await post('deleted', next, `deleted:${again.password}`)).status, 200);
});

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
import { TestLayer, until } from '../layer.ts';

/** What the layers below tell, over HTTP: each test has a child of its own. */

const layer = await TestLayer.start();
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

/** @returns the status, and how far the layer has the child's events */
async function tell(child: string, report: Partial<LayersReport>): Promise<[number, number | undefined]> {
  const response = await post(child, { made: 'm', events: [], ...report });
  const { place } = (await response.json()) as ReportAck;
  return [response.status, place?.sequence];
}

/** The ids of what is stored of a child, in order. */
async function stored(child: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const past of operator.history({ since: 1 })) {
    if ('event' in past && past.child === child) ids.push(past.event.id);
  }
  return ids;
}
const deep = (levels: number): unknown => (levels === 0 ? 0 : [deep(levels - 1)]);
const ids = (from: number, to: number, source = 'a') =>
  Array.from({ length: to - from + 1 }, (_, index) => `${source}-${from + index}`);

test('events are taken in order from where the layer has them, and from nowhere else', async () => {
  deepEqual(await tell('one', {}), [200, undefined]);
  deepEqual(await tell('one', { after: 5, events: events(6, 7) }), [409, undefined]);
  deepEqual(await tell('one', { after: 0, events: events(1, 3) }), [200, 3]);
  deepEqual(await tell('one', { after: 0, events: events(1, 3) }), [409, 3]);
  deepEqual(await tell('one', { made: 'other', after: 3, events: events(4, 4) }), [409, 3]);
  deepEqual(await tell('one', { after: 3, events: events(4, 5) }), [200, 5]);
  deepEqual(await stored('one'), ids(1, 5));
});

test('a child that begins anew tells again what is known, and only the rest is stored', async () => {
  await tell('two', { after: 0, events: events(1, 5) });
  // The child's store came back from a copy with three of them, and then other things happened.
  const later = [
    { sequence: 4, event: event(1, '/layers/line/b') },
    { sequence: 5, event: event(2, '/layers/line/b') },
  ];
  deepEqual(await tell('two', { restart: true, events: [...events(2, 3), ...later] }), [200, 5]);
  deepEqual(await stored('two'), [...ids(1, 5), ...ids(1, 2, 'b')]);
  deepEqual(
    await tell('two', { after: 5, events: [{ sequence: 6, event: event(3, '/layers/line/b') }] }),
    [200, 6],
  );
});

test('what a process stored that was killed then is reckoned with', async () => {
  await tell('three', { after: 0, events: events(1, 2) });
  for (const { sequence, event: one } of events(3, 4)) {
    await layer.bus.relay.store('three', { made: 'm', sequence }, one);
  }
  deepEqual(await tell('three', { after: 2, events: events(3, 6) }), [409, 4]);
  deepEqual(await tell('three', { after: 4, events: events(5, 6) }), [200, 6]);
  deepEqual(await stored('three'), ids(1, 6));
});

test('what a power cut took out of the stream is asked for again, and what it left is not', async () => {
  await tell('cut', { after: 0, events: events(1, 4) });
  const known = await layer.bus.get(reportProgress, 'cut');
  const later = { ...(known?.value as ReportProgress), ...events(9, 9)[0], id: 'a-9', tail: 'a-9' };
  await layer.bus.put(reportProgress, 'cut', {
    ...later,
    stored: later.stored + 5,
    marks: { '/layers/line/a': 9 },
  });
  deepEqual(await tell('cut', { after: 9, events: events(10, 10) }), [409, 4]);
  deepEqual(await tell('cut', { after: 4, events: events(5, 10) }), [200, 10]);
  deepEqual(await stored('cut'), ids(1, 10));
});

test('what the bus loses is asked for again', async () => {
  await tell('four', { after: 0, events: events(1, 3) });
  await layer.testBus.kill({ forget: true });
  await layer.testBus.up();
  const gone = async () => (await tell('four', {}).catch(() => [503, 0]))[1] === undefined;
  while (!(await gone()));
  deepEqual(await tell('four', { after: 0, events: events(1, 3) }), [200, 3]);
  deepEqual(await stored('four'), ids(1, 3));
});

test('how layers stand is kept by child', async () => {
  const own = { path: [], name: 'line', mode: 'ReadOnly' as const, at: 1 };
  deepEqual(await tell('five', { layers: [own, { ...own, path: ['cell'] }] }), [200, undefined]);
  const kept = await operator.get(layersBelow, 'five');
  deepEqual(
    kept?.value.layers.map(({ path }) => path),
    [[], ['cell']],
  );
});

const odd = (change: object): LayersReport['events'] => [
  { sequence: 1, event: { ...event(1), ...change } as unknown as Envelope },
];

test('a child speaks for what is below it, whatever names it gives', async () => {
  const told = [
    event(1),
    { ...event(2, '/layers/top/gateway'), layer: 'top' },
    { ...event(3, '__proto__'), layer: 'liar/cell' },
    { ...event(4, '/layers/liar/x'), layer: 'liar', origin: 'other/7', more: 'x' } as Envelope,
  ];
  const reported = told.map((one, index) => ({ sequence: index + 1, event: one }));
  deepEqual(await tell('liar', { after: 0, events: reported }), [200, 4]);
  const kept: unknown[] = [];
  for await (const past of operator.history({ since: 1 })) {
    if ('event' in past && past.child === 'liar') {
      const { layer: at, source, origin, ...rest } = past.event;
      kept.push([at, source, origin, 'more' in rest]);
    }
  }
  deepEqual(kept, [
    ['liar/line', '/layers/liar/line/a', 'm/1', false],
    ['liar/top', '/layers/liar/top/gateway', 'm/2', false],
    ['liar/cell', '/layers/liar/__proto__', 'm/3', false],
    ['liar', '/layers/liar/x', 'm/4', false],
  ]);
  // It goes on, and what was told is known again.
  deepEqual(await tell('liar', { after: 4, events: [{ sequence: 5, event: event(5) }] }), [200, 5]);
  deepEqual(await tell('liar', { restart: true, events: reported }), [200, 4]);
  equal((await stored('liar')).length, 5);
});

test('data that are too large to go from layer to layer are replaced by how large they were', async () => {
  const large = { ...event(1), data: { text: 'x'.repeat(250_000) } };
  deepEqual(
    await tell('large', { after: 0, events: [{ sequence: 1, event: large }, ...events(2, 2)] }),
    [200, 2],
  );
  const data: unknown[] = [];
  for await (const past of operator.history({ since: 1 })) {
    if ('event' in past && past.child === 'large') data.push(past.event.data);
  }
  deepEqual(data, [{ leftOutBytes: 250_011 }, { serial: 2 }]);
});

test('a child that tells more than its share is told when to come again', async () => {
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
  match(await answer.text(), /flood sends more than 128 KiB of events per second/);
  // What it told is there, and others are not held up.
  deepEqual(await tell('flood', {}), [200, last - 15]);
  deepEqual(await tell('beside', { after: 0, events: events(1, 1) }), [200, 1]);
});

test('more layers than a report may have are left out, the farthest first, and counted', async () => {
  const own = { path: [] as string[], name: 'line', mode: 'ReadOnly' as const, at: 1 };
  const detail = 'ü'.repeat(3_000);
  const link = { state: 'Offline' as const, since: 1, coordinator: 'c', detail };
  const below = Array.from({ length: 255 }, (_, n) => ({ ...own, link, path: ['a', `b-${n}`] }));
  deepEqual(await tell('wide', { layers: [own, ...below] }), [200, undefined]);
  const { layers = [] } = (await operator.get(layersBelow, 'wide'))?.value ?? {};
  equal(layers.length, 256);
  equal(layers[1]?.link?.detail?.length, 300);
});

/** As an earlier version wrote it. */
const loose = { ...layersBelow, value: Type.Unknown() } as unknown as typeof layersBelow;

test('what an earlier version let in and nobody can read keeps no other back', async () => {
  const own = { path: [], name: 'line', mode: 'ReadOnly' as const, at: 1 };
  await tell('well', { after: 0, events: events(1, 1), layers: [own] });
  await layer.bus.put(loose, 'sick', { seen: 1, layers: [{ ...own, path: 'x' }] } as never);
  equal((await operator.list(layersBelow)).get('well')?.layers.length, 1);
  match(operator.unreadable().find(({ key }) => key === 'sick')?.reason ?? '', /^\/layers\/0\/path: /);
  // The child itself puts it right.
  await tell('sick', { layers: [own] });
  equal((await operator.list(layersBelow)).get('sick')?.layers.length, 1);
});

for (const [what, child, body, status, said] of [
  [
    'an id that is too long',
    'bad',
    { made: 'm', after: 0, events: odd({ id: 'x'.repeat(400) }) },
    400,
    /\/events\/0\/event\/id: /,
  ],
  [
    'a line end in a source',
    'bad',
    { made: 'm', after: 0, events: odd({ source: 'a\nb' }) },
    400,
    /\/events\/0\/event\/source: /,
  ],
  [
    'a field __proto__',
    'bad',
    { made: 'm', after: 0, events: odd({ data: JSON.parse('{"__proto__":1}') }) },
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
    'data without an end to its depth',
    'bad',
    { made: 'm', after: 0, events: odd({ data: deep(200) }) },
    400,
    /nested/,
  ],

  ['a field that is missing', 'bad', { events: [] }, 400, /\/made: /],
  ['an event that is none', 'bad', { made: 'm', events: [{ sequence: 1 }] }, 400, /\/events\/0\/event: /],
  [
    'events out of order',
    'bad',
    { made: 'm', after: 0, events: [...events(2, 2), ...events(1, 1)] },
    400,
    /\/events\/1\/sequence: must be larger/,
  ],
  ['a name that no child has', 'a.b', { made: 'm', events: [] }, 400, /a\.b\\" is not valid: use/],
  ['more than may be', 'bad', { made: 'x'.repeat(3_000_000), events: [] }, 413, /more than 2097152 bytes/],
] as const) {
  test(`${what} is refused in words`, async () => {
    const response = await post(child, body);
    equal(response.status, status);
    match(await response.text(), said);
  });
}

test('only who may speak for the child is heard, in a ReadOnly layer too', async () => {
  const make = async (name: string, ...actions: string[]) => {
    const { password } = await operator.call(createToken, { name, actions });
    return `${name}:${password}`;
  };
  const line = await make('line-7', 'gateway/line-7/message/write');
  const other = await make('line-8', 'gateway/line-8/message/write', 'gateway/line-7/message/read');
  layer.mode = 'ReadOnly';
  const body = { made: 'm', after: 0, events: events(1, 1) };
  equal((await post('line-7', body)).status, 401);
  const denied = await post('line-7', body, other);
  equal(denied.status, 403);
  match(await denied.text(), /token line-8 needs message\/write on line-7/);
  equal((await post('Line-7', body, line)).status, 200);
  deepEqual(await stored('line-7'), ids(1, 1));
});

test('what is known of a child goes with its account, in whatever order that and its last report come', async () => {
  const actions = ['gateway/gone/message/write', 'gateway/gone-2/message/write'];
  const { password } = await operator.call(createToken, { name: 'gone', actions });
  const own = { path: [], name: 'gone', mode: 'ReadOnly' as const, at: 1 };
  const body = { made: 'm', after: 0, events: events(1, 1), layers: [own] };
  for (const child of ['gone', 'gone-2']) equal((await post(child, body, `gone:${password}`)).status, 200);
  const known = async () => {
    const layers = await operator.list(layersBelow);
    const heard = await layer.bus.list(reportProgress);
    return ['gone', 'gone-2'].flatMap((child) => [layers.has(child), heard.has(child)]);
  };
  deepEqual(await known(), [true, true, true, true]);
  const told = await operator.get(layersBelow, 'gone');
  await layer.bus.put(loose, 'unread', { seen: 1, layers: 'none' } as never);
  await operator.call(deleteToken, { name: 'gone' });
  await until(async () => !(await known()).includes(true), 20_000);
  await until(async () => {
    await operator.list(layersBelow);
    return !operator.unreadable().some(({ key }) => key === 'unread');
  }, 20_000);
  // A report that was being taken meanwhile is written after that.
  await layer.bus.put(layersBelow, 'gone', told?.value as NonNullable<typeof told>['value']);
  await layer.storageDown();
  await layer.storageUp();
  await until(async () => !(await known()).includes(true), 20_000);
  // Its events stay, and it begins where it was when it has an account again.
  deepEqual(await stored('gone'), ids(1, 1));
  const again = await operator.call(createToken, { name: 'gone', actions });
  const next = { ...body, after: 1, events: events(2, 2) };
  equal((await post('gone', next, `gone:${again.password}`)).status, 200);
});

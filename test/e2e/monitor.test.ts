import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'nats';
import { tagMoved } from '#proto/content/content-events.ts';
import { typeOf } from '../../cli/text/event-text.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { Monitor, type MonitorEvent, monitorFolder } from '../support/monitor.ts';
import { pushImage } from '../support/registry/image.ts';
import { until } from '../support/until.ts';

/** A monitor with the plain `nats` package: the program of the guide, as it is written there. */

const stack = new AsyncDisposableStack();
let layer: TestLayer;
let folder: string;

before(async () => {
  layer = stack.use(await testLayer({ compact: 'hosted' }));
  ({ path: folder } = stack.use(await monitorFolder()));
});
after(() => stack.disposeAsync());

const tagged = (tag: string) => (seen: MonitorEvent) => seen.data.tag === tag;

const push = async (...tags: string[]) => {
  for (const tag of tags) {
    await pushImage(layer.host, 'app', tag);
    await layer.event(tagMoved, (moved) => moved.tag === tag);
  }
};

test('a monitor receives each event once, across kill -9 of itself and of nats-server', async () => {
  {
    await using first = new Monitor(folder, layer.data, 'events.tag.>');
    await push('a', 'b');
    await first.untilEvent(tagged('b'));
    // An event that it is handling when it is killed is delivered again, before any later one.
    first.pause();
    await push('c');
  }
  await using second = new Monitor(folder, layer.data, 'events.tag.>');
  await second.untilEvent(tagged('c'));
  layer.killWithoutWaiting('nats-server');
  await until(async () => (await fetch(`${layer.url}/healthz`)).status === 200);
  await push('d', 'e');
  await second.untilEvent(tagged('e'));
  const seen = await second.events();

  const stored: { sequence: number; tag: string }[] = [];
  for await (const past of layer.bus().history({})) {
    if (!('event' in past) || typeOf(past.event) !== 'tag.moved') continue;
    stored.push({ sequence: past.sequence, tag: (past.event.data as { tag: string }).tag });
  }
  assert.deepEqual(
    seen.map(({ sequence, data: { tag } }) => ({ sequence, tag })),
    stored,
  );
  assert.deepEqual([...new Set(stored.map(({ tag }) => tag))], ['a', 'b', 'c', 'd', 'e']);
});

test('a monitor can publish no request, event or JetStream message', async () => {
  const read = async (file: string) => (await readFile(join(layer.data, 'bus', file), 'utf8')).trim();
  const bus = await connect({
    servers: await read('url'),
    user: 'monitor',
    pass: await read('monitor.password'),
    inboxPrefix: '_INBOX_monitor',
  });
  const refused: string[] = [];
  void (async () => {
    for await (const { type, permissionContext } of bus.status()) {
      if (type === 'error') refused.push(String(permissionContext?.subject));
    }
  })();
  const subjects = [
    'events.tag.moved',
    'storage.token.create',
    'storage.append.events.tag.moved',
    'storage.state.configuration.get',
    'storage.state.configuration.put',
    'syncer.pass.start',
    '$KV.configuration.layer',
    '$JS.API.INFO',
    '$JS.API.STREAM.DELETE.EVENTS',
    '$JS.API.STREAM.INFO.EVENTS',
    '$JS.API.CONSUMER.CREATE.EVENTS.x',
    '$JS.API.CONSUMER.MSG.NEXT.EVENTS.x',
    '$JS.ACK.EVENTS.x',
  ];
  for (const subject of subjects) bus.publish(subject);
  await bus.flush();
  await until(() => refused.length >= subjects.length);
  assert.deepEqual(refused, subjects);
  await bus.close();
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tagMoved } from '#proto/content/content-events.ts';
import { testLayer } from '../support/layer.ts';
import { Monitor, monitorFolder } from '../support/monitor.ts';
import { startCloud } from '../support/registry/cloud.ts';
import { pushImage } from '../support/registry/image.ts';

/** Number of images that are pushed to the cloud. */
const IMAGES = Number(process.env.TERRACE_IMAGES ?? 12);

test('a monitor receives each event of a day of passes once, across restarts of itself and of nats-server', async () => {
  await using stack = new AsyncDisposableStack();
  const cloud = stack.use(await startCloud());
  const { path } = stack.use(await monitorFolder());
  const layer = stack.use(await testLayer({ compact: 'hosted', parent: cloud.url }));
  const rounds = IMAGES > 100 ? 10 : 2;
  const each = Math.ceil(IMAGES / rounds);
  for (let round = 0; round < rounds; round += 1) {
    const monitor = stack.use(new Monitor(path, layer.data, 'events.>'));
    const tags = Array.from({ length: each }, (_, index) => `v${round}-${index}`);
    for (const tag of tags)
      await pushImage(cloud.host, 'app', tag, { layers: [{ seed: tag, size: 40_000 }] });
    const pass = layer.sync().catch(() => {});
    await layer.event(tagMoved, ({ tag }) => tag === tags[0]);
    if (round % 2 === 1) layer.killWithoutWaiting('nats-server');
    await pass;
    while (!(await layer.sync().catch(() => undefined))?.ok);
    const last = tags.at(-1);
    await monitor.untilEvent(({ data }) => data.tag === last);
    await monitor[Symbol.asyncDispose]();
  }
  const monitor = stack.use(new Monitor(path, layer.data, 'events.>'));
  const stored: [number, string][] = [];
  for await (const past of layer.bus().history({ since: 1 })) {
    if ('event' in past) stored.push([past.sequence, past.event.type]);
  }
  assert.ok(stored.length > IMAGES * 5, `${stored.length} events`);
  const [last] = stored.at(-1) ?? [];
  await monitor.untilEvent(({ sequence }) => sequence === last);
  const seen = (await monitor.events()).map(({ sequence, type }) => `${sequence} ${type}`);
  const expected = stored.map(([sequence, type]) => `${sequence} ${type}`);
  assert.deepEqual(seen.slice(0, expected.length), expected);
});

import { deepEqual, equal, throws } from 'node:assert/strict';
import { after, test } from 'node:test';
import { Invalidations } from '#proto/bus/invalidations.ts';
import { blobCommitted, tagMoved } from '#proto/content/content-events.ts';
import { putTag } from '#proto/content/manifests.ts';
import { TestBus } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

const server = await TestBus.start();
after(() => server[Symbol.asyncDispose]());
const digest = `sha256:${'0'.repeat(64)}` as const;
const move = (tag: string) => ({ repository: 'a', tag, digest });

test('a process that receives the answer, or flushes after it, has received the invalidation', async () => {
  const storage = await server.connect('storage', 'publisher');
  const caller = await server.connect('gateway', 'caller');
  const other = await server.connect('gateway', 'other');
  const received: string[][] = [[], []];
  for (const [i, bus] of [caller, other].entries())
    bus.onInvalidation(tagMoved, ({ tag }) => received[i]!.push(tag));
  await Promise.all([caller.flush(), other.flush()]);
  storage.serve(putTag, async ({ tag }) => {
    storage.publish(tagMoved, move(tag));
    return {};
  });
  await storage.flush();
  for (let n = 0; n < 500; n += 1) {
    await caller.call(putTag, move(`t${n}`));
    equal(received[0]!.length, n + 1);
    await other.flush();
    equal(received[1]!.length, n + 1);
  }
  deepEqual(
    received[1],
    [...Array(500).keys()].map((n) => `t${n}`),
  );
});

test('a broken connection of the publisher or of the subscriber is reported as a gap', async () => {
  const storage = await server.connect('storage', 'publisher 2');
  const gateway = await server.connect('gateway', 'subscriber');
  let gaps = 0;
  gateway.onGap(() => {
    gaps += 1;
  });
  storage.publish(tagMoved, move('x'));
  await Promise.all([storage.flush(), gateway.flush()]);
  equal(gaps, 0);
  await server.kill();
  await until(() => gaps >= 1);
  await server.up();
  // Its own disconnect, then the report of the publisher; the two reconnect in any order.
  const isReconnected = async () =>
    gateway.flush().then(
      () => true,
      () => false,
    );
  await until(isReconnected);
  storage.publish(tagMoved, move('y'));
});

test('an answer that is sent after its connection broke follows the report of missed events', () => {
  const published: string[] = [];
  const deps = { publish: (subject: string) => void published.push(subject), subscribe: () => () => {} };
  const invalidations = new Invalidations(deps);
  const send = () => void published.push('answer');
  invalidations.guardAnswer(send)(new Uint8Array());
  const late = invalidations.guardAnswer(send);
  invalidations.publish(tagMoved, move('x'));
  invalidations.onDisconnect();
  late(new Uint8Array());
  invalidations.onReconnect();
  invalidations.guardAnswer(send)(new Uint8Array());
  deepEqual(published, ['answer', 'now.tag.moved', 'now.missed', 'answer', 'now.missed', 'answer']);
});

test('no gap is reported before the first event, and a closed connection publishes nothing', () => {
  const closed = () => {
    throw new Error('closed');
  };
  const invalidations = new Invalidations({ publish: closed, subscribe: () => () => {} });
  invalidations.onReconnect();
  invalidations.publish(tagMoved, move('x'));
  throws(
    () => invalidations.onInvalidation(blobCommitted, () => {}),
    /blob.committed is not an immediate event/,
  );
});

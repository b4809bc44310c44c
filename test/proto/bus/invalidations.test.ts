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

test('whoever hears the answer, or asks for a sign of life after it, has heard the change', async () => {
  const storage = await server.connect('storage', 'speaker');
  const caller = await server.connect('gateway', 'caller');
  const other = await server.connect('gateway', 'other');
  const heard: string[][] = [[], []];
  for (const [i, bus] of [caller, other].entries())
    bus.onInvalidation(tagMoved, ({ tag }) => heard[i]!.push(tag));
  await Promise.all([caller.flush(), other.flush()]);
  storage.serve(putTag, async ({ tag }) => {
    storage.publish(tagMoved, move(tag));
    return {};
  });
  await storage.flush();
  for (let n = 0; n < 500; n += 1) {
    await caller.call(putTag, move(`t${n}`));
    equal(heard[0]!.length, n + 1);
    await other.flush();
    equal(heard[1]!.length, n + 1);
  }
  deepEqual(
    heard[1],
    [...Array(500).keys()].map((n) => `t${n}`),
  );
});

test('a bus that breaks is told on both sides: something may have been missed', async () => {
  const storage = await server.connect('storage', 'speaker 2');
  const gateway = await server.connect('gateway', 'listener');
  let missed = 0;
  gateway.onGap(() => {
    missed += 1;
  });
  storage.publish(tagMoved, move('x'));
  await Promise.all([storage.flush(), gateway.flush()]);
  equal(missed, 0);
  await server.kill();
  await until(() => missed >= 1);
  await server.up();
  // Its own break, and then the word of the speaker, in whichever order they come back.
  const again = async () =>
    gateway.flush().then(
      () => true,
      () => false,
    );
  await until(again);
  storage.publish(tagMoved, move('y'));
});

test('an answer that outlived its connection comes after the word that something was missed', () => {
  const said: string[] = [];
  const line = { publish: (subject: string) => void said.push(subject), subscribe: () => () => {} };
  const invalidations = new Invalidations(line);
  const reply = () => void said.push('answer');
  invalidations.guardReply(reply)(new Uint8Array());
  const late = invalidations.guardReply(reply);
  invalidations.publish(tagMoved, move('x'));
  invalidations.onDisconnect();
  late(new Uint8Array());
  invalidations.onReconnect();
  invalidations.guardReply(reply)(new Uint8Array());
  deepEqual(said, ['answer', 'now.tag.moved', 'now.missed', 'answer', 'now.missed', 'answer']);
});

test('who has said nothing has nothing to make good, and who is closed says nothing', () => {
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

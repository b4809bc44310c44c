import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { historyLost } from '#proto/bus/history.ts';
import { blobCommitted } from '#proto/content/content-events.ts';
import { watchHistory } from '../../../services/storage/history/history-watch.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { until as untilTrue } from '../../support/until.ts';

/** Storage detects the loss of the store of the bus. */

async function rig() {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await TestBus.start());
  const folder = await mkdtemp(join(tmpdir(), 'terrace-watch-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const metadata = stack.use(await Metadata.open(join(folder, 'metadata')));
  const operator = await server.connect('operator');
  let serial = 0;
  return {
    server,
    metadata,
    operator,
    copy: join(folder, 'copy'),
    /** Starts a process of storage, which can be killed. */
    storage: async () => {
      const bus = await server.connect('storage', `storage-${++serial}`);
      const end = new AbortController();
      const watching = watchHistory({ bus, metadata, log: quiet, tickMs: 20 }, end.signal);
      const kill = async () => {
        end.abort();
        await watching;
      };
      return { bus, kill };
    },
    /** The events of the stream: the sizes of blobs, or `lost`. */
    history: async () => {
      await operator.flush();
      const all: unknown[] = [];
      for await (const past of operator.history({ since: 1 })) {
        if ('event' in past) all.push((past.event.data as { size?: number }).size ?? 'lost');
      }
      return all;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const digest = `sha256:${'0'.repeat(64)}`;

/** A condition that throws does not hold yet. */
const until = (condition: () => Promise<boolean>): Promise<void> =>
  untilTrue(() => condition().catch(() => false), String(condition));

for (const [name, forget] of [
  ['deleted', true],
  ['an older copy of itself', false],
] as const) {
  test(`a store that is ${name} is reported in the stream, once`, async () => {
    await using r = await rig();
    const first = await r.storage();
    first.bus.publish(blobCommitted, { digest, size: 1 });
    await until(async () => (await r.metadata.history())?.sequence === 1);
    await first.kill();
    await r.server.kill();
    await cp(join(r.server.folder, 'jetstream'), r.copy, { recursive: true });
    await r.server.up();
    const { bus, kill } = await r.storage();
    for (const size of [2, 3]) bus.publish(blobCommitted, { digest, size });
    await until(async () => (await r.metadata.history())?.sequence === 3);
    await kill();
    await r.server.kill({ forget: true });
    if (!forget) await cp(r.copy, join(r.server.folder, 'jetstream'), { recursive: true });
    await r.server.up();
    const later = await r.storage();
    // More than were lost: the sequences of the lost events are used again.
    for (const size of [4, 5, 6]) later.bus.publish(blobCommitted, { digest, size });
    const expected = forget ? [4, 5, 6, 'lost'] : [1, 4, 5, 6, 'lost'];
    let events: unknown[] = [];
    await untilTrue(
      async () => {
        events = await r.history().catch(() => []);
        return events.length === expected.length;
      },
      () => `${JSON.stringify(events)} instead of ${JSON.stringify(expected)}`,
    );
    later.bus.publish(blobCommitted, { digest, size: 7 });
    await until(async () => (await r.metadata.history())?.sequence === expected.length + 1);
    events = await r.history();
    assert.deepEqual(new Set(events), new Set([...expected, 7]));
    assert.equal(events.length, expected.length + 1);
  });
}

test('no loss is reported while the store survives kills of the server and of storage', async () => {
  await using r = await rig();
  const losses: unknown[] = [];
  r.operator.listen(historyLost, ({ data }) => losses.push(data));
  for (const size of [1, 2, 3]) {
    const { bus, kill } = await r.storage();
    bus.publish(blobCommitted, { digest, size });
    await until(async () => (await r.metadata.history())?.sequence === size);
    await kill();
    await r.server.kill();
    await r.server.up();
  }
  await until(async () => (await r.history()).length === 3);
  assert.deepEqual([await r.history(), losses], [[1, 2, 3], []]);
});

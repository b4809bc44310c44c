import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect } from 'nats';
import { inboxOf } from '#proto/access.ts';
import { blobCommitted } from '#proto/content.ts';
import type { Envelope } from '#proto/envelope.ts';
import { Fault } from '#proto/fault.ts';
import { historyLost } from '#proto/history.ts';
import { streams } from '#proto/streams.ts';
import { HistoryRoom } from '../../services/storage/history-room.ts';
import { until } from '../gateway/layer.ts';
import { quiet, TestBus } from '../support/bus.ts';

/** Room in the history, on a real nats-server whose stream holds little. */

const server = await TestBus.start();
after(() => server[Symbol.asyncDispose]());
const storage = await server.connect('storage');
const gateway = await server.connect('gateway');
const LIMIT = 1024 * 1024;
const MIB = 1024 * 1024;

const connection = await connect({
  servers: server.url,
  user: 'storage',
  pass: 'secret-of-storage',
  inboxPrefix: inboxOf('storage'),
});
const manager = await connection.jetstreamManager();
await manager.streams.update(streams.events.name, { max_bytes: LIMIT });
after(() => connection.close());

let now = 0;
const room = () => new HistoryRoom({ bus: storage, log: quiet, now: () => now });
const digest = `sha256:${'0'.repeat(64)}`;

async function tell(child: string, serial: number): Promise<void> {
  const event: Envelope = {
    specversion: '1.0',
    id: `x-${serial}`,
    source: `/layers/${child}/x`,
    type: 'terrace.blob.committed',
    time: '2030-01-01T00:00:00.000Z',
    layer: child,
    data: { digest, size: serial },
  };
  await gateway.relay.store(child, { made: 'm', sequence: serial }, event);
}

/** What is kept of each: the number of the first and of the last, and how many. */
async function kept(): Promise<Record<string, [number, number, number]>> {
  const found: Record<string, [number, number, number]> = {};
  for await (const past of gateway.history({ since: 1 })) {
    if (!('event' in past) || past.event.type !== 'terrace.blob.committed') continue;
    const { size } = past.event.data as { size: number };
    const name = past.child ?? 'own';
    const [first, , count] = found[name] ?? [size, size, 0];
    found[name] = [first, size, count + 1];
  }
  return found;
}

test('a layer below that tells without end pushes out only what it told itself', async () => {
  const lost: unknown[] = [];
  gateway.listen(historyLost, ({ data }) => lost.push(data));
  for (let size = 1; size <= 300; size += 1) storage.publish(blobCommitted, { digest, size });
  for (let serial = 1; serial <= 300; serial += 1) await tell('calm', serial);
  const its = room();
  for (let serial = 1; serial <= 4_000; serial += 1) {
    now += 1_000;
    await its.admit('flood', 500);
    await tell('flood', serial);
  }
  const { own, calm, flood } = await kept();
  assert.deepEqual(
    [own, calm],
    [
      [1, 300, 300],
      [1, 300, 300],
    ],
  );
  const [first = 0, last = 0, count = 0] = flood ?? [];
  assert.deepEqual([last, count], [4_000, 4_000 - first + 1]);
  assert.ok(count > 500, `${count} of it are left`);
  await until(() => lost.length > 0);
  const said = lost as { reason: string; child: string; count: number }[];
  assert.deepEqual([...new Set(said.map(({ reason, child }) => `${reason} ${child}`))], ['trimmed flood']);
  await until(() => said.reduce((sum, one) => sum + one.count, 0) === 4_000 - count);
});

test('what happens in the layer itself makes room, too, and what happened below is there', async () => {
  const its = room();
  const before = (await kept()).calm;
  for (let size = 301; size <= 3_000; size += 1) {
    now += 1_000;
    await new Promise<void>((stored) => storage.publish(blobCommitted, { digest, size }, stored));
    if (size % 50 === 0) await its.look();
  }
  const { own, calm } = await kept();
  assert.ok((own?.[0] ?? 0) > 1);
  assert.deepEqual(calm, before);
});

test('a layer below has its share of time, and is told when to come again', async () => {
  const empty = { ...storage.room, size: async () => ({ bytes: 0, limit: 256 * MIB }) };
  const its = new HistoryRoom({
    bus: { room: empty, publish: () => {} },
    log: quiet,
    now: () => now,
  });
  await its.admit('burst', 12 * MIB);
  const refused = await its.admit('burst', 12 * MIB).then(
    () => undefined,
    (error) => error as unknown,
  );
  assert.ok(Fault.is(refused, 'too-many'));
  assert.equal(refused.detail?.retryAfter, 64);
  await its.admit('other', 12 * MIB);
  now += 64_000;
  await its.admit('burst', 12 * MIB);
});

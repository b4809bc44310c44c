import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect } from 'nats';
import { historyLost } from '#proto/bus/history.ts';
import { scrubFinished } from '#proto/content/maintenance.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import { inboxOf } from '#proto/contract/users.ts';
import { streams } from '#proto/jetstream/streams.ts';
import { HistoryRoom } from '../../../services/storage/history/history-room.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

/** Room in the history, on a real nats-server with a small stream. */

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
/** About 6 KiB each, so that few events fill the stream. */
const damaged = Array.from({ length: 80 }, () => `sha256:${'0'.repeat(64)}`);
const dataOf = (ms: number) => ({ checked: 0, bytes: 0, damaged, ms });
const publish = (serial: number) =>
  new Promise<void>((stored) => storage.publish(scrubFinished, dataOf(serial), stored));

async function report(child: string, serial: number): Promise<void> {
  const event: Envelope = {
    specversion: '1.0',
    id: `x-${serial}`,
    source: `/layers/${child}/x`,
    type: 'terrace.scrub.finished',
    time: '2030-01-01T00:00:00.000Z',
    layer: child,
    data: dataOf(serial),
  };
  await gateway.relay.store(child, { made: 'm', sequence: serial }, event);
}

/** Retained events by owner: serial of the first and of the last one, and their count. */
async function retained(): Promise<Record<string, [number, number, number]>> {
  const found: Record<string, [number, number, number]> = {};
  for await (const past of gateway.history({ since: 1 })) {
    if (!('event' in past) || past.event.type !== 'terrace.scrub.finished') continue;
    const { ms } = past.event.data as { ms: number };
    const name = past.child ?? 'own';
    const [first, , count] = found[name] ?? [ms, ms, 0];
    found[name] = [first, ms, count + 1];
  }
  return found;
}

test('a layer below that floods the stream displaces only its own events', async () => {
  const lost: unknown[] = [];
  gateway.listen(historyLost, ({ data }) => lost.push(data));
  for (let serial = 1; serial <= 20; serial += 1) await publish(serial);
  for (let serial = 1; serial <= 20; serial += 1) await report('calm', serial);
  const historyRoom = room();
  for (let serial = 1; serial <= 400; serial += 1) {
    now += 5_000;
    await historyRoom.admit('flood', 6_000);
    await report('flood', serial);
  }
  const { own, calm, flood } = await retained();
  assert.deepEqual(
    [own, calm],
    [
      [1, 20, 20],
      [1, 20, 20],
    ],
  );
  const [first = 0, last = 0, count = 0] = flood ?? [];
  assert.deepEqual([last, count], [400, 400 - first + 1]);
  assert.ok(count > 50, `${count} of its events are left`);
  await until(() => lost.length > 0);
  const losses = lost as { reason: string; child: string; count: number }[];
  assert.deepEqual([...new Set(losses.map(({ reason, child }) => `${reason} ${child}`))], ['trimmed flood']);
  await until(() => losses.reduce((sum, loss) => sum + loss.count, 0) === 400 - count);
});

test('events of the layer itself are trimmed, too, and displace no event from below', async () => {
  const historyRoom = room();
  const before = (await retained()).calm;
  for (let serial = 21; serial <= 300; serial += 1) {
    now += 5_000;
    await publish(serial);
    if (serial % 4 === 0) await historyRoom.trimIfFull();
  }
  const { own, calm } = await retained();
  assert.ok((own?.[0] ?? 0) > 1);
  assert.deepEqual(calm, before);
});

test('a layer below that exceeds its rate is refused, with the time to retry after', async () => {
  const empty = { ...storage.room, size: async () => ({ bytes: 0, limit: 256 * MIB }) };
  const historyRoom = new HistoryRoom({
    bus: { room: empty, publish: () => {} },
    log: quiet,
    now: () => now,
  });
  await historyRoom.admit('burst', 12 * MIB);
  const refused = await historyRoom.admit('burst', 12 * MIB).then(
    () => undefined,
    (error) => error as unknown,
  );
  assert.ok(Fault.is(refused, 'too-many'));
  assert.equal(refused.detail?.retryAfter, 64);
  await historyRoom.admit('other', 12 * MIB);
  now += 64_000;
  await historyRoom.admit('burst', 12 * MIB);
});

test('bytes from a child are charged before they are read, and its events only for the rest', async () => {
  const bus = { room: { size: async () => ({ bytes: 0, limit: 0 }) } };
  const historyRoom = new HistoryRoom({ bus: bus as never, log: quiet, now: () => now });
  for (let n = 0; n < 15; n += 1) historyRoom.charge('loud', MIB);
  // Only the 0.5 MiB that are not charged yet are charged.
  await historyRoom.admit('loud', 1.5 * MIB, MIB);
  assert.throws(
    () => historyRoom.charge('loud', MIB),
    (error) => Fault.is(error, 'too-many'),
  );
  historyRoom.charge('loud', MIB / 2);
  historyRoom.charge('quiet', MIB);
});

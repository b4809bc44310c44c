import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endSession, sessionStatus } from '#proto/accounts/sessions.ts';
import { EndedSessions } from '../../../services/storage/accounts/ended-sessions.ts';
import { fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const HOUR = 3_600_000;
const idOf = (number: number) => `session-${String(number).padStart(14, '0')}`;
const isEnded = async (number: number) =>
  (await buses.gateway.call(sessionStatus, { id: idOf(number) })).ended;
const end = (number: number, until: number) => buses.gateway.call(endSession, { id: idOf(number), until });

test('a session that was ended is known as such after a restart, and gateways are informed', async () => {
  await using rig = await Rig.open(buses);
  assert.equal(await isEnded(1), false);
  await end(1, rig.now + HOUR);
  await end(1, rig.now + HOUR);
  assert.equal(rig.events.filter(([type]) => type === 'session.ended').length, 2);
  await rig.restart();
  assert.deepEqual([await isEnded(1), await isEnded(2)], [true, false]);
  await assert.rejects(buses.gateway.call(endSession, { id: 'short', until: 1 }), fault('malformed'));
  // Only gateways know sessions.
  await assert.rejects(buses.syncer.call(endSession, { id: idOf(3), until: 1 }));
});

test('a record is dropped a day after its session would be over', async () => {
  await using rig = await Rig.open(buses);
  await end(1, rig.now + HOUR);
  rig.now += 24 * HOUR;
  await end(2, rig.now + HOUR);
  assert.deepEqual([await isEnded(1), await isEnded(2)], [true, true]);
  rig.now += 2 * HOUR;
  await end(3, rig.now + HOUR);
  assert.deepEqual([await isEnded(1), await isEnded(2), await isEnded(3)], [false, true, true]);
});

test('records are bounded: one more displaces the session that is over first', async () => {
  const records = new Map<string, { until: number }>();
  const metadata = {
    endedSessions: async function* () {
      yield* records;
    },
    write: async (changes: { type: string; key: string; value: { until: number } }[]) => {
      for (const { type, key, value } of changes) {
        const id = key.slice(2);
        if (type === 'put') records.set(id, value);
        else records.delete(id);
      }
    },
  };
  const deps = {
    metadata,
    locks: { run: (_: string, work: () => Promise<void>) => work() },
    publish: () => {},
    now: () => 0,
  };
  const sessions = new EndedSessions(deps as unknown as ConstructorParameters<typeof EndedSessions>[0], 3);
  for (const [at, until] of [50, 20, 40, 30, 60].entries()) await sessions.end({ id: idOf(at), until });
  assert.deepEqual(
    [...records.values()].map(({ until }) => until),
    [50, 40, 60],
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import type { LayersReport } from '#proto/status/layers-below.ts';
import { HistorySender } from '../../../services/syncer/parent-tasks/history-sender.ts';
import { quiet } from '../../support/bus.ts';

/** Events sent over a link that carries a limited number of them within the time-out of the parent. */

const nothing = async () => undefined;
const bus = { get: nothing, put: nothing, swap: nothing, remove: nothing, publish: () => {} };
const { signal } = new AbortController();
const tooSlow = () => new Fault('parent-unreachable', 'answered 408', { detail: { status: 408 } });

function sending(failure = tooSlow) {
  const state = { maxEvents: 500 };
  const sizes: number[] = [];
  const received: number[] = [];
  const sender = new HistorySender(bus, async () => ({ instance: 'i' }), quiet);
  sender.to = {
    suspend() {},
    send: async ({ made, events }: LayersReport) => {
      sizes.push(events.length);
      if (events.length > state.maxEvents) throw failure();
      received.push(...events.map(({ sequence }) => sequence));
      const sequence = received.at(-1) ?? 1;
      return { taken: true, place: { made, sequence, id: `e-${sequence}` } };
    },
  };
  let last = 0;
  const send = (count: number) => {
    const batch = Array.from({ length: count }, (_, index) => event(last + index + 1));
    last += count;
    return sender.send('m', batch, signal);
  };
  return { state, sizes, received, sender, send };
}

const event = (sequence: number): LayersReport['events'][number] => ({
  sequence,
  event: {
    specversion: '1.0',
    id: `e-${sequence}`,
    source: '/layers/a',
    type: 'terrace.tag.moved',
    time: '2030-01-01T00:00:00.000Z',
    data: {},
  },
});

test('a report that was too slow is sent in smaller ones, in order, and later ones grow again', async () => {
  const { state, sizes, received, send } = sending();
  state.maxEvents = 30;
  assert.equal(await send(100), true);
  assert.deepEqual(sizes, [100, 50, 25, 29, 33, 17, 20, 9]);
  state.maxEvents = 500;
  assert.equal(await send(2_000), true);
  assert.ok(sizes.some((size) => size > 100));
  assert.deepEqual(
    received,
    Array.from({ length: 2_100 }, (_, index) => index + 1),
  );
});

test('a single event that was too slow is retried later, and is not skipped', async () => {
  const { state, sizes, received, send, sender } = sending();
  state.maxEvents = 0;
  await assert.rejects(send(4), { code: 'parent-unreachable' });
  assert.deepEqual(sizes, [4, 2, 1]);
  state.maxEvents = 500;
  assert.equal(await sender.send('m', [1, 2, 3, 4].map(event), signal), true);
  assert.deepEqual(received, [1, 2, 3, 4]);
});

test('a report to an unreachable parent is not split', async () => {
  const { state, sizes, send } = sending(() => new Fault('parent-unreachable', 'ECONNREFUSED'));
  state.maxEvents = 0;
  await assert.rejects(send(4), { code: 'parent-unreachable' });
  assert.deepEqual(sizes, [4]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import type { LayersReport } from '#proto/status/layers-below.ts';
import { HistorySender } from '../../../services/syncer/parent-tasks/history-sender.ts';
import { quiet } from '../../support/bus.ts';

/** A history that goes up on a link that carries so many events in the time that the parent waits for them. */

const nothing = async () => undefined;
const bus = { get: nothing, put: nothing, swap: nothing, remove: nothing, publish: () => {} };
const { signal } = new AbortController();
const tooSlow = () => new Fault('parent-unreachable', 'answered 408', { detail: { status: 408 } });

function sending(failure = tooSlow) {
  const state = { carries: 500 };
  const sizes: number[] = [];
  const heard: number[] = [];
  const sender = new HistorySender(bus, async () => ({ instance: 'i' }), quiet);
  sender.to = {
    suspend() {},
    send: async ({ made, events }: LayersReport) => {
      sizes.push(events.length);
      if (events.length > state.carries) throw failure();
      heard.push(...events.map(({ sequence }) => sequence));
      const sequence = heard.at(-1) ?? 1;
      return { taken: true, place: { made, sequence, id: `e-${sequence}` } };
    },
  };
  let last = 0;
  const tell = (count: number) => {
    const batch = Array.from({ length: count }, (_, index) => event(last + index + 1));
    last += count;
    return sender.send('m', batch, signal);
  };
  return { state, sizes, heard, sender, tell };
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

test('a report that came too slowly goes up in smaller ones, in order, and later ones are larger again', async () => {
  const { state, sizes, heard, tell } = sending();
  state.carries = 30;
  assert.equal(await tell(100), true);
  assert.deepEqual(sizes, [100, 50, 25, 29, 33, 17, 20, 9]);
  state.carries = 500;
  assert.equal(await tell(2_000), true);
  assert.ok(sizes.some((size) => size > 100));
  assert.deepEqual(
    heard,
    Array.from({ length: 2_100 }, (_, index) => index + 1),
  );
});

test('one event that comes too slowly is tried again later, and is not passed over', async () => {
  const { state, sizes, heard, tell, sender } = sending();
  state.carries = 0;
  await assert.rejects(tell(4), { code: 'parent-unreachable' });
  assert.deepEqual(sizes, [4, 2, 1]);
  state.carries = 500;
  assert.equal(await sender.send('m', [1, 2, 3, 4].map(event), signal), true);
  assert.deepEqual(heard, [1, 2, 3, 4]);
});

test('a parent that can not be reached is not asked in parts', async () => {
  const { state, sizes, tell } = sending(() => new Fault('parent-unreachable', 'ECONNREFUSED'));
  state.carries = 0;
  await assert.rejects(tell(4), { code: 'parent-unreachable' });
  assert.deepEqual(sizes, [4]);
});

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { EventListener } from '#proto/bus/roles.ts';
import { transferFinished, transferProgressed, transferStarted } from '#proto/sync/transfers.ts';
import { Traffic } from '../../../services/gateway/api/read/traffic.ts';

const DAY_MS = 86_400_000;
const START = 1_800_000_000_000;
const blob = { repository: 'app', digest: 'sha256:aa', size: 1_000, direction: 'down' } as const;

/** Traffic with a clock that is set, and the events that it listens to. */
function rig() {
  const clock = { now: START };
  const listeners = new Map<object, (event: { data: object }) => void>();
  const bus = {
    listen: (declared: object, listener: (event: { data: object }) => void) =>
      void listeners.set(declared, listener),
  } as unknown as EventListener;
  const traffic = new Traffic(bus, () => clock.now);
  const publish = (declared: object, data: object) =>
    listeners.get(declared)?.({ data: { ...blob, ...data } });
  const down = () => traffic.throughput().points.map((point) => point.down);
  return { clock, traffic, publish, down };
}

test('throughput goes up to the present, and back for an hour', () => {
  const { clock, traffic, publish, down } = rig();
  deepEqual(down(), []);
  publish(transferStarted, { present: 100 });
  publish(transferProgressed, { done: 300 });
  clock.now += 30_000;
  publish(transferFinished, {});
  deepEqual(down(), [200, 0, 0, 700]);
  clock.now += 20_000;
  deepEqual(down(), [200, 0, 0, 700, 0, 0]);
  equal(traffic.throughput().points.at(-1)?.at, START + 60_000);
  clock.now = START + 3_599_000;
  equal(down().length, 360);
  clock.now += 2_000;
  deepEqual([down().length, down()[0]], [358, 700]);
});

test('a clock that is set by decades makes no more points than an hour has', () => {
  const { clock, traffic, publish, down } = rig();
  publish(transferStarted, { present: 0 });
  publish(transferProgressed, { done: 100 });
  clock.now += 30 * 365 * DAY_MS;
  publish(transferProgressed, { done: 300 });
  deepEqual([down(), traffic.rate().down], [[200], 20]);
  clock.now = START + 60_000;
  deepEqual([down(), traffic.rate().down], [[], 0], 'what is in the future is dropped');
  publish(transferProgressed, { done: 400 });
  deepEqual([down(), traffic.rate().down], [[100], 10]);
  clock.now -= 365 * DAY_MS;
  deepEqual([down(), traffic.rate().down, traffic.rateOf({ ...blob, done: 0 })], [[], 0, 0]);
});

test('of a blob that a delta makes, only the bytes of the delta crossed the link', () => {
  const { traffic, publish, down } = rig();
  const delta = { digest: 'sha256:dd', size: 50 };
  publish(transferStarted, { present: 0, delta });
  publish(transferProgressed, { done: 20, delta });
  publish(transferFinished, { delta, saved: { by: 'delta', bytes: 950 } });
  deepEqual([down(), traffic.rate().down], [[50], 5]);
});

test('what is made here, or crossed before a delta, is not counted', () => {
  const { traffic, publish, down } = rig();
  publish(transferStarted, { present: 300, made: 200 });
  publish(transferProgressed, { done: 700, made: 600 });
  publish(transferProgressed, { done: 750, made: 600 });
  publish(transferFinished, { saved: { by: 'frames', bytes: 600 } });
  deepEqual([down(), traffic.rate().down], [[300], 30]);
  const delta = { digest: 'sha256:dd', size: 50 };
  publish(transferStarted, { present: 0 });
  publish(transferProgressed, { done: 400 });
  publish(transferStarted, { present: 0, delta });
  publish(transferFinished, { delta, saved: { by: 'delta', bytes: 550 } });
  deepEqual(down(), [750]);
});

test('of a transfer that began before this process, only what arrives from now on counts', () => {
  const { traffic, publish, down } = rig();
  publish(transferProgressed, { done: 900 });
  deepEqual([down(), traffic.rate().down], [[], 0]);
  publish(transferProgressed, { done: 950 });
  publish(transferFinished, {});
  deepEqual([down(), traffic.rate().down], [[100], 10]);
  publish(transferFinished, { digest: 'sha256:bb' });
  deepEqual(down(), [100]);
});

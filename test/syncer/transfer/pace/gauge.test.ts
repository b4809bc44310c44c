import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gauge } from '../../../../services/syncer/transfer/pace/gauge.ts';

test('the throughput is that of all connections, without pauses', () => {
  let now = 10_000;
  const gauge = new Gauge(() => now);
  const move = (times: number) => {
    for (let time = 0; time < times; time += 1) {
      gauge.moved(1_000);
      now += 100;
    }
  };
  move(5);
  assert.equal(gauge.throughput, undefined);
  move(20);
  assert.equal(gauge.throughput, 10_000);
  now += 60_000;
  move(25);
  assert.equal(gauge.throughput, 10_000);
});

test('the rate of a connection is measured by its own requests, and not by very small ones', () => {
  const gauge = new Gauge();
  const slot: { rate: number | undefined } = { rate: undefined };
  gauge.carried(1_000, 1_000, slot);
  assert.equal(slot.rate, undefined);
  gauge.carried(100_000, 1_000, slot);
  gauge.carried(900_000, 1_000);
  assert.equal(slot.rate, 100_000);
});

test('a round trip is reported when it differs', () => {
  const gauge = new Gauge();
  const reported: number[] = [];
  gauge.onRoundTrip = (ms) => reported.push(ms);
  for (const ms of [undefined, 300, 300, 200]) gauge.roundTrip(ms);
  assert.deepEqual(reported, [300, 200]);
});

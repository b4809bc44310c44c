import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SendRate } from '../../../services/syncer/transfer/send-rate.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

test('the first piece is small, those after it take about eight seconds, 4 MiB at most', () => {
  const pace = new SendRate();
  assert.equal(pace.piece(GIB, undefined), 64 * KIB);
  pace.sent(64 * KIB, 640);
  assert.equal(pace.piece(GIB, undefined), 800 * KIB);
  pace.sent(64 * MIB, 1);
  assert.equal(pace.piece(GIB, undefined), 4 * MIB);
});

test('a request that broke makes the next piece smaller, down to 64 KiB', () => {
  const pace = new SendRate();
  pace.sent(100 * KIB, 1_000);
  pace.failed();
  assert.equal(pace.piece(GIB, undefined), 400 * KIB);
  for (let times = 0; times < 10; times += 1) pace.failed();
  assert.equal(pace.piece(GIB, undefined), 64 * KIB);
});

test('before a window closes, a piece is begun only if it ends in time', () => {
  const pace = new SendRate();
  assert.equal(pace.piece(GIB, 2_000, 0), undefined, 'nothing is known of the link');
  assert.equal(pace.piece(GIB, 60_000, 0), 64 * KIB);
  pace.sent(100 * KIB, 1_000);
  for (const left of [60_000, 8_000, 3_000, 2_000]) {
    const bytes = pace.piece(GIB, left, 0) ?? 0;
    assert.ok(pace.ms(bytes) + 500 < left, `${bytes} bytes in ${left} ms`);
    assert.ok(bytes >= 64 * KIB);
  }
  assert.equal(pace.piece(GIB, 1_000, 0), undefined);
  assert.equal(pace.piece(GIB, -1, 0), undefined);
});

test('what is little may still go when a usual piece would not end in time', () => {
  const pace = new SendRate();
  assert.equal(pace.piece(200, 1_000, 0), 200);
  assert.equal(pace.piece(200, 400, 0), undefined);
  pace.sent(100 * KIB, 1_000);
  assert.equal(pace.piece(10 * KIB, 1_000, 0), 10 * KIB);
  assert.equal(pace.piece(0, 600, 0), 0);
});

test('a small first piece that took long keeps no usual one out of a window', () => {
  const pace = new SendRate();
  pace.sent(163, 1_000);
  assert.equal(pace.piece(GIB, 10_000, 0), 64 * KIB);
  pace.sent(10 * KIB, 100);
  assert.equal(pace.piece(GIB, undefined), 800 * KIB, 'it is at least as fast as that');
});

test('an old estimate by which nothing would end in time is tried anew: what is never sent corrects none', () => {
  let now = 0;
  const pace = new SendRate(() => now);
  pace.sent(64 * KIB, 60_000);
  assert.equal(pace.piece(GIB, 20_000, 0), undefined);
  now += 29_999;
  assert.equal(pace.piece(GIB, 20_000, 0), undefined);
  now += 1;
  assert.equal(pace.piece(GIB, 20_000, 0), 64 * KIB);
  assert.equal(pace.piece(GIB, 2_000, 0), undefined, 'too late for a first one');
  pace.failed();
  assert.equal(pace.piece(GIB, 20_000, 0), undefined, 'tried just now');
  now += 30_000;
  assert.equal(pace.piece(GIB, 20_000, 0), 64 * KIB);
});

test('however often a request breaks, the next one is waited for no longer than where nothing is known', () => {
  const pace = new SendRate();
  const unknown = pace.ms(64 * KIB);
  pace.sent(MIB, 1_000);
  for (let times = 0; times < 20; times += 1) pace.failed();
  assert.equal(pace.ms(64 * KIB), unknown);
  const slow = new SendRate();
  slow.sent(64 * KIB, 60_000);
  const measured = slow.ms(64 * KIB);
  slow.failed();
  assert.equal(slow.ms(64 * KIB), measured, 'a link that is slower than that is believed');
});

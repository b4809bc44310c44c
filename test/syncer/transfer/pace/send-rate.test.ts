import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SendRate } from '../../../../services/syncer/transfer/pace/send-rate.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

test('the first piece is small, later ones take about eight seconds and have 4 MiB at most', () => {
  const pace = new SendRate();
  assert.equal(pace.piece(GIB, undefined), 64 * KIB);
  pace.sent(64 * KIB, 640);
  assert.equal(pace.piece(GIB, undefined), 800 * KIB);
  pace.sent(64 * MIB, 1);
  assert.equal(pace.piece(GIB, undefined), 4 * MIB);
});

test('a request that breaks makes the next piece smaller, down to 64 KiB', () => {
  const pace = new SendRate();
  pace.sent(100 * KIB, 1_000);
  pace.failed();
  assert.equal(pace.piece(GIB, undefined), 400 * KIB);
  for (let times = 0; times < 10; times += 1) pace.failed();
  assert.equal(pace.piece(GIB, undefined), 64 * KIB);
});

test('before the window closes, a piece is sent only if it ends in time', () => {
  const pace = new SendRate();
  assert.equal(pace.piece(GIB, 2_000, 0), undefined, 'the link is not measured yet');
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

test('a small remainder is sent even if a usual piece would not end in time', () => {
  const pace = new SendRate();
  assert.equal(pace.piece(200, 1_000, 0), 200);
  assert.equal(pace.piece(200, 400, 0), undefined);
  pace.sent(100 * KIB, 1_000);
  assert.equal(pace.piece(10 * KIB, 1_000, 0), 10 * KIB);
  assert.equal(pace.piece(0, 600, 0), 0);
});

test('a small first piece that took long does not keep a usual one out of a window', () => {
  const pace = new SendRate();
  pace.sent(163, 1_000);
  assert.equal(pace.piece(GIB, 10_000, 0), 64 * KIB);
  pace.sent(10 * KIB, 100);
  assert.equal(pace.piece(GIB, undefined), 800 * KIB, 'the rate of a small piece is a lower bound');
});

test('a stale estimate by which no piece fits does not prevent a first piece', () => {
  let now = 0;
  const pace = new SendRate(() => now);
  pace.sent(64 * KIB, 60_000);
  assert.equal(pace.piece(GIB, 20_000, 0), undefined);
  now += 29_999;
  assert.equal(pace.piece(GIB, 20_000, 0), undefined);
  now += 1;
  assert.equal(pace.piece(GIB, 20_000, 0), 64 * KIB);
  assert.equal(pace.piece(GIB, 2_000, 0), undefined, 'too late for a first piece');
  pace.failed();
  assert.equal(pace.piece(GIB, 20_000, 0), undefined, 'tested just now');
  now += 30_000;
  assert.equal(pace.piece(GIB, 20_000, 0), 64 * KIB);
});

test('repeated failures do not raise the expected time above that of an unknown link', () => {
  const pace = new SendRate();
  const unknown = pace.ms(64 * KIB);
  pace.sent(MIB, 1_000);
  for (let times = 0; times < 20; times += 1) pace.failed();
  assert.equal(pace.ms(64 * KIB), unknown);
  const slow = new SendRate();
  slow.sent(64 * KIB, 60_000);
  const measured = slow.ms(64 * KIB);
  slow.failed();
  assert.equal(slow.ms(64 * KIB), measured, 'a measured rate below that is retained');
});

test('where a parent takes large requests only, one probes the link, and its sample decides from then on', () => {
  let now = 0;
  const pace = new SendRate(() => now);
  const single = { min: 100 * MIB, max: 100 * MIB };
  const hour = 60 * 60_000;
  // Small blobs measure the answers.
  pace.sent(5 * KIB, 200);
  assert.equal(pace.piece(100 * MIB, 30_000, 0, single), undefined, 'the window closes soon');
  assert.equal(pace.piece(100 * MIB, hour, 0, single), 100 * MIB);
  assert.equal(pace.piece(100 * MIB, hour, 0, single), 100 * MIB, 'asked again for the same request');
  now += hour / 2;
  assert.equal(pace.piece(100 * MIB, hour, 0, single), undefined);
  now += hour / 2;
  assert.equal(pace.piece(100 * MIB, hour, 0, single), 100 * MIB);
  // The window cut it off: 20 MiB in an hour.
  pace.sent(20 * MIB, hour);
  now += hour / 2;
  assert.equal(pace.piece(100 * MIB, hour, 0, single), undefined);
  assert.equal(pace.piece(100 * MIB, 10 * hour, 0, single), 100 * MIB);
});

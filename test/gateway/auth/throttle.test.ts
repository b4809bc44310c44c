import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  FORGET_MS,
  limits,
  MAX_COUNTS,
  networkOf,
  Throttle,
} from '../../../services/gateway/auth/throttle.ts';

const fail = (throttle: Throttle, times: number, name: string, address: string, now = 0) => {
  for (let i = 0; i < times; i += 1) throttle.begin(name, address, now);
};
const refused = (throttle: Throttle, name: string, address: string, now = 0): number => {
  const attempt = throttle.begin(name, address, now);
  return 'refusedMs' in attempt ? attempt.refusedMs : 0;
};
const delay = (throttle: Throttle, name: string, address: string, now = 0): number => {
  const attempt = throttle.begin(name, address, now);
  return 'delayMs' in attempt ? attempt.delayMs : Number.NaN;
};

test('a name from an address is refused after some failures, for a time that doubles up to a maximum', () => {
  const throttle = new Throttle();
  let now = 0;
  for (let i = 0; i < limits.pair.free; i += 1) equal(refused(throttle, 'ci', '10.0.0.1', now), 0);
  for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
    equal(refused(throttle, 'ci', '10.0.0.1', now), seconds * 1_000);
    equal(
      refused(throttle, 'ci', '10.0.0.1', now + seconds * 1_000 - 1),
      1,
      'a refused attempt is not counted',
    );
    now += seconds * 1_000;
    equal(refused(throttle, 'ci', '10.0.0.1', now), 0);
  }
});

test('the wait begins when the client receives the failure', () => {
  const throttle = new Throttle();
  fail(throttle, limits.pair.free, 'ci', '10.0.0.1');
  throttle.failed('ci', '10.0.0.1', 5_000);
  equal(refused(throttle, 'ci', '10.0.0.1', 5_000), 1_000);
  throttle.failed('nobody', '10.0.0.2', 5_000);
  equal(refused(throttle, 'nobody', '10.0.0.2', 5_000), 0);
});

test('the same name from another address, and another name from the same address, are not refused', () => {
  const throttle = new Throttle();
  fail(throttle, limits.pair.free, 'ci', '10.0.0.1');
  ok(refused(throttle, 'ci', '10.0.0.1') > 0);
  equal(refused(throttle, 'ci', '10.0.0.2'), 0);
  equal(refused(throttle, 'cd', '10.0.0.1'), 0);
});

test('an address that tries many names is refused', () => {
  const throttle = new Throttle();
  for (let i = 0; i < limits.address.free; i += 1) equal(refused(throttle, `name-${i}`, '10.0.0.1'), 0);
  ok(refused(throttle, 'another', '10.0.0.1') > 0);
  equal(refused(throttle, 'another', '10.0.0.2'), 0);
});

test('a name tried from many addresses is delayed for all of them, up to a maximum, and refused to none', () => {
  const throttle = new Throttle();
  for (let i = 0; i < limits.name.free; i += 1) equal(delay(throttle, 'ci', `10.0.0.${i}`), 0);
  equal(delay(throttle, 'ci', '10.0.1.1'), 100);
  equal(delay(throttle, 'ci', '10.0.1.2'), 200);
  for (let i = 0; i < 200; i += 1) throttle.begin('ci', `10.0.2.${i}`, 0);
  equal(delay(throttle, 'ci', '10.0.3.1'), limits.name.maxMs);
});

test('success undoes the counts of its attempt', () => {
  const throttle = new Throttle();
  for (let i = 0; i < 1_000; i += 1) {
    equal(delay(throttle, 'ci', '10.0.0.1'), 0);
    throttle.succeeded('ci', '10.0.0.1');
  }
  equal(throttle.size, 0);
});

test("success with one name does not undo an address's failures with other names", () => {
  const throttle = new Throttle();
  for (let i = 0; i < limits.address.free - 1; i += 1) {
    throttle.begin(`name-${i}`, '10.0.0.1', 0);
    throttle.begin('mine', '10.0.0.1', 0);
    throttle.succeeded('mine', '10.0.0.1');
  }
  throttle.begin('one-more', '10.0.0.1', 0);
  ok(refused(throttle, 'mine', '10.0.0.1') > 0);
});

test('counts expire after a quiet period', () => {
  const throttle = new Throttle();
  fail(throttle, limits.pair.free, 'ci', '10.0.0.1');
  equal(refused(throttle, 'ci', '10.0.0.1', FORGET_MS + 1), 0);
  equal(delay(throttle, 'ci', '10.0.0.1', FORGET_MS + 2), 0);
});

test('the number of counts is bounded, and the most recent failures are kept', () => {
  const throttle = new Throttle();
  fail(throttle, limits.pair.free, 'old', '10.0.0.1');
  for (let i = 0; i < 2 * MAX_COUNTS; i += 1) throttle.begin(`name-${i}`, `10.1.${i >> 8}.${i & 255}`, 0);
  fail(throttle, limits.pair.free, 'new', '10.0.0.2');
  ok(throttle.size <= 3 * MAX_COUNTS);
  equal(refused(throttle, 'old', '10.0.0.1'), 0);
  ok(refused(throttle, 'new', '10.0.0.2') > 0);
});

test('names longer than any token name do not fill the memory', () => {
  const throttle = new Throttle();
  fail(throttle, 1, 'x'.repeat(60_000), '10.0.0.1');
  fail(throttle, limits.pair.free - 1, `${'x'.repeat(60_000)}y`, '10.0.0.1');
  ok(refused(throttle, 'x'.repeat(80), '10.0.0.1') > 0, 'only the beginning of a name is stored');
  throttle.succeeded('x'.repeat(60_000), '10.0.0.1');
  equal(refused(throttle, 'x'.repeat(80), '10.0.0.1'), 0);
});

for (const [address, network] of [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:1:2::1', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
]) {
  test(`${address} counts as ${network}`, () => equal(networkOf(address!), network));
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from '#proto/async/backoff.ts';
import { IssuedCertificates, isDue, RENEWAL } from '../../../services/gateway/tls/issued-certificates.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const pair = { cert: '', key: '' };
const log = { debug() {}, info() {}, warn() {}, error() {} };

test('a certificate is due after two thirds of its lifetime, or if the clock was wrong when it was issued', () => {
  const one = { pair, from: 100 * DAY, until: 130 * DAY };
  assert.deepEqual(
    [100, 119.99, 120, 131, 99.999, 99].map((day) => isDue(one, day * DAY)),
    [false, false, true, true, false, true],
  );
  assert.deepEqual(
    [1, 2, 3, 20].map((failures) => backoffMs(failures, RENEWAL, 1) / MINUTE),
    [1, 2, 4, 30],
  );
});

test('over a year a valid certificate is always held, also in outages of the daemon and after clock jumps', async () => {
  let now = 0;
  let isDown = false;
  const issued: number[] = [];
  const issue = async () => {
    if (isDown) throw new Error('the daemon is down');
    issued.push(now);
    return { pair, from: now, until: now + 30 * DAY };
  };
  const due = new IssuedCertificates(['a'], issue, log, () => now);
  await due.renewDue();
  let renewals = 0;
  for (let minute = 1; minute < 365 * 24 * 60; minute += 5) {
    now = minute * MINUTE;
    const day = now / DAY;
    // Down when the certificate is due: for nine of the ten days that are left.
    isDown = day >= 40 && day < 49;
    if ((await due.renewDue()).length > 0) renewals += 1;
    const held = due.held('a');
    assert.ok(held && held.from <= now && now < held.until, `day ${day}`);
    if (day < 40 || day > 49.03) assert.ok(now - held.from <= 20 * DAY + 5 * MINUTE, `day ${day}`);
  }
  assert.equal(issued.length, renewals + 1);
  assert.equal(issued.length, 18);
  assert.ok((issued[2] as number) >= 49 * DAY && (issued[2] as number) <= 49 * DAY + 35 * MINUTE);

  now += 100 * DAY;
  assert.deepEqual(await due.renewDue(), ['a'], 'the machine slept, and its certificate expired');
  now -= 300 * DAY;
  assert.deepEqual(await due.renewDue(), ['a'], 'the clock was wrong');
  assert.deepEqual(await due.renewDue(), []);
});

test('a failure for one name does not block other names, and a clock set back does not block a retry', async () => {
  let now = 1_000 * DAY;
  let isDown = true;
  const issue = async (name: string) => {
    if (isDown && name === 'b') throw new Error('the daemon is down');
    return { pair, from: now, until: now + 30 * DAY };
  };
  const due = new IssuedCertificates(['a', 'b'], issue, log, () => now);
  assert.deepEqual(await due.renewDue(), ['a']);
  assert.equal(due.complete, false);
  now -= 900 * DAY;
  isDown = false;
  assert.deepEqual(await due.renewDue(), ['a', 'b']);
  assert.ok(due.complete);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { UploadWays } from '../../../../services/syncer/link/parent/upload-ways.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 60 * 60_000;
const digest = `sha256:${'a'.repeat(64)}`;
const key = { repository: 'a', digest, size: 9 * MIB };
const other = { ...key, digest: `sha256:${'b'.repeat(64)}` };
const answered = (status: number) =>
  new Fault('parent-refused', `answered ${status}`, { detail: { status } });
const piece = { offset: MIB, bytes: 4 * MIB, isFinal: false };
const all = { offset: 0, bytes: key.size, isFinal: true };

function clocked() {
  const clock = { now: 0 };
  return { clock, ways: new UploadWays(() => clock.now) };
}

test('the limit of a request holds for all blobs, and is tried again after six hours', () => {
  const { clock, ways } = clocked();
  assert.equal(ways.blob(key).failed(answered(413), piece), 'repeat');
  assert.equal(ways.blob(other).way.max, 2 * MIB);
  clock.now += 6 * HOUR_MS;
  assert.equal(ways.first.max, Number.POSITIVE_INFINITY);
});

test('mounts that the parent refused are tried again after six hours', () => {
  const { clock, ways } = clocked();
  ways.onMountsRefused();
  ways.onAlgorithmRefused();
  assert.deepEqual([ways.refusesMounts, ways.refusesAlgorithm], [true, true]);
  clock.now += 6 * HOUR_MS;
  assert.deepEqual([ways.refusesMounts, ways.refusesAlgorithm], [false, false]);
});

test('what a parent does not report about a session is asked again after six hours', () => {
  const { clock, ways } = clocked();
  ways.onStatus(false);
  ways.onStaleRange();
  clock.now += 6 * HOUR_MS - 1;
  assert.deepEqual([ways.hasStatus, ways.hasStaleRange], [false, true]);
  clock.now += 1;
  assert.deepEqual([ways.hasStatus, ways.hasStaleRange], [undefined, false]);
});

test('the way in which a blob was sent is that of the next one', () => {
  const { ways } = clocked();
  assert.equal(ways.blob(key).failed(answered(405), piece), 'restart');
  assert.equal(ways.blob(other).way.method, 'pieces', 'it has not been sent yet');
  ways.blob(key).sent();
  assert.equal(ways.blob(other).way.method, 'put');
  assert.equal(ways.blob(key).way.method, 'put');
});

test('what a parent was found to need no longer counts once a smaller limit is found', () => {
  const { ways } = clocked();
  const small = { offset: 0, bytes: 64 * 1024, isFinal: false };
  assert.equal(ways.blob(key).failed(answered(416), small), 'repeat');
  assert.equal(ways.blob(key).way.min, 5 * MIB);
  ways.blob(key).taken(5 * MIB, 5 * MIB);
  ways.blob(key).sent();
  assert.equal(ways.blob(other).way.min, 5 * MIB);
  ways.blob(other).taken(5 * MIB, 5 * MIB);
  assert.equal(ways.blob(other).failed(answered(413), { ...piece, bytes: 5 * MIB }), 'repeat');
  const { method, min, max } = ways.blob(other).way;
  assert.deepEqual([method, min, max], ['pieces', 0, 2.5 * MIB]);
});

test('a blob that is refused in every way is not sent again, until six hours later or when a person asks', () => {
  const { clock, ways } = clocked();
  const refuseAll = () => {
    assert.equal(ways.blob(key).failed(answered(400), all), 'restart');
    assert.throws(() => ways.blob(key).failed(answered(400), all), {
      code: 'parent-refused',
      message: /answered 400.*no other way of sending is left/,
      detail: { status: 400 },
    });
  };
  refuseAll();
  assert.throws(() => ways.blob(key).assertWanted(), { code: 'parent-refused' });
  ways.blob(other).assertWanted();
  ways.blob(key).retryRefused();
  ways.blob(key).assertWanted();
  refuseAll();
  clock.now += 6 * HOUR_MS;
  ways.blob(key).assertWanted();
});

test('a blob that failed for now may be sent again', () => {
  const { ways } = clocked();
  const failing = new Fault('parent-unreachable', 'answered 500', { detail: { status: 500 } });
  for (let times = 1; times < 12; times += 1)
    assert.throws(() => ways.blob(key).failed(failing, { ...piece, offset: 0 }), {
      code: 'parent-unreachable',
    });
  assert.throws(() => ways.blob(key).failed(failing, { ...piece, offset: 0 }), { code: 'parent-refused' });
  ways.blob(key).assertWanted();
});

test('a parent that refuses one sha512 digest is sent no other, and none in another way', () => {
  const { ways } = clocked();
  const long = { ...key, digest: `sha512:${'a'.repeat(128)}` };
  assert.throws(() => ways.blob(long).failed(answered(400), all), {
    code: 'parent-refused',
    message: /push the image with sha256 digests/,
  });
  assert.throws(() => ways.blob({ ...long, digest: `sha512:${'b'.repeat(128)}` }).assertWanted(), {
    code: 'parent-refused',
  });
  ways.blob(key).assertWanted();
});

test('a blob that the parent claims to have is sent again once', () => {
  const { clock, ways } = clocked();
  assert.equal(ways.resend(key), true);
  assert.equal(ways.resend(key), false);
  assert.equal(ways.resend(other), true);
  clock.now += 6 * HOUR_MS;
  assert.equal(ways.resend(key), true);
});

test('a minimum that is not a number is ignored', () => {
  const { ways } = clocked();
  for (const header of [undefined, '', 'x', '-1', '1.5']) ways.onMinLength(header);
  assert.equal(ways.first.min, 0);
  ways.onMinLength(' 5242880 ');
  assert.equal(ways.first.min, 5 * MIB);
  ways.onMinLength('x');
  assert.equal(ways.first.min, 5 * MIB);
  ways.onMinLength(undefined);
  assert.equal(ways.first.min, 0, 'a parent that no longer asks for it');
});

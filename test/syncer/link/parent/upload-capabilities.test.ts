import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { UploadCapabilities } from '../../../../services/syncer/link/parent/upload-capabilities.ts';

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
  return { clock, capabilities: new UploadCapabilities(() => clock.now) };
}

test('the limit of a request holds for all blobs, and is tried again after six hours', () => {
  const { clock, capabilities } = clocked();
  assert.equal(capabilities.blob(key).failed(answered(413), piece), 'repeat');
  assert.equal(capabilities.blob(other).plan.max, 2 * MIB);
  clock.now += 6 * HOUR_MS;
  assert.equal(capabilities.first.max, Number.POSITIVE_INFINITY);
});

test('mounts that the parent refused are tried again after six hours', () => {
  const { clock, capabilities } = clocked();
  capabilities.onMountsRefused();
  capabilities.onAlgorithmRefused();
  assert.deepEqual([capabilities.refusesMounts, capabilities.refusesAlgorithm], [true, true]);
  clock.now += 6 * HOUR_MS;
  assert.deepEqual([capabilities.refusesMounts, capabilities.refusesAlgorithm], [false, false]);
});

test('what a parent does not report about a session is asked again after six hours', () => {
  const { clock, capabilities } = clocked();
  capabilities.onStatus(false);
  capabilities.onStaleRange();
  clock.now += 6 * HOUR_MS - 1;
  assert.deepEqual([capabilities.hasStatus, capabilities.hasStaleRange], [false, true]);
  clock.now += 1;
  assert.deepEqual([capabilities.hasStatus, capabilities.hasStaleRange], [undefined, false]);
});

test('the method by which a blob was sent is that of the next one', () => {
  const { capabilities } = clocked();
  assert.equal(capabilities.blob(key).failed(answered(405), piece), 'restart');
  assert.equal(capabilities.blob(other).plan.method, 'pieces', 'it has not been sent yet');
  capabilities.blob(key).completed();
  assert.equal(capabilities.blob(other).plan.method, 'put');
  assert.equal(capabilities.blob(key).plan.method, 'put');
});

test('a failure at an offset that is assumed begins a new session once, by the same plan', () => {
  const { capabilities } = clocked();
  const state = capabilities.blob(key);
  const last = { offset: 8 * MIB, bytes: MIB, isFinal: true };
  for (const status of [400, 404, 416]) {
    state.isOffsetAssumed = true;
    assert.equal(state.failed(answered(status), last), 'restart');
    assert.equal(state.plan.method, 'pieces');
  }
  assert.equal(state.failed(answered(416), last), 'restart');
  assert.equal(state.plan.method, 'put', 'the parent refuses more than the offset');
});

test('what a parent was found to need no longer counts once a smaller limit is found', () => {
  const { capabilities } = clocked();
  const small = { offset: 0, bytes: 64 * 1024, isFinal: false };
  assert.equal(capabilities.blob(key).failed(answered(416), small), 'repeat');
  assert.equal(capabilities.blob(key).plan.min, 5 * MIB);
  capabilities.blob(key).taken(5 * MIB, 5 * MIB);
  capabilities.blob(key).completed();
  assert.equal(capabilities.blob(other).plan.min, 5 * MIB);
  capabilities.blob(other).taken(5 * MIB, 5 * MIB);
  assert.equal(capabilities.blob(other).failed(answered(413), { ...piece, bytes: 5 * MIB }), 'repeat');
  const { method, min, max } = capabilities.blob(other).plan;
  assert.deepEqual([method, min, max], ['pieces', 0, 2.5 * MIB]);
});

test('a blob that is refused in every way is not sent again, until six hours later or when a person asks', () => {
  const { clock, capabilities } = clocked();
  const refuseAll = () => {
    assert.equal(capabilities.blob(key).failed(answered(400), all), 'restart');
    assert.throws(() => capabilities.blob(key).failed(answered(400), all), {
      code: 'parent-refused',
      message: /answered 400.*no other way of sending is left/,
      detail: { status: 400 },
    });
  };
  refuseAll();
  assert.throws(() => capabilities.blob(key).assertWanted(), { code: 'parent-refused' });
  capabilities.blob(other).assertWanted();
  capabilities.blob(key).retryRefused();
  capabilities.blob(key).assertWanted();
  refuseAll();
  clock.now += 6 * HOUR_MS;
  capabilities.blob(key).assertWanted();
});

test('a blob that failed for now may be sent again', () => {
  const { capabilities } = clocked();
  const failing = new Fault('parent-unreachable', 'answered 500', { detail: { status: 500 } });
  for (let times = 1; times < 12; times += 1)
    assert.throws(() => capabilities.blob(key).failed(failing, { ...piece, offset: 0 }), {
      code: 'parent-unreachable',
    });
  assert.throws(() => capabilities.blob(key).failed(failing, { ...piece, offset: 0 }), {
    code: 'parent-refused',
  });
  capabilities.blob(key).assertWanted();
});

test('a parent that refuses one sha512 digest is sent no other, and none in another way', () => {
  const { capabilities } = clocked();
  const long = { ...key, digest: `sha512:${'a'.repeat(128)}` };
  assert.throws(() => capabilities.blob(long).failed(answered(400), all), {
    code: 'parent-refused',
    message: /push the image with sha256 digests/,
  });
  assert.throws(() => capabilities.blob({ ...long, digest: `sha512:${'b'.repeat(128)}` }).assertWanted(), {
    code: 'parent-refused',
  });
  capabilities.blob(key).assertWanted();
});

test('a blob that the parent claims to have is sent again once', () => {
  const { clock, capabilities } = clocked();
  assert.equal(capabilities.resend(key), true);
  assert.equal(capabilities.resend(key), false);
  assert.equal(capabilities.resend(other), true);
  clock.now += 6 * HOUR_MS;
  assert.equal(capabilities.resend(key), true);
});

test('a minimum that is not a number is ignored', () => {
  const { capabilities } = clocked();
  for (const header of [undefined, '', 'x', '-1', '1.5']) capabilities.onMinLength(header);
  assert.equal(capabilities.first.min, 0);
  capabilities.onMinLength(' 5242880 ');
  assert.equal(capabilities.first.min, 5 * MIB);
  capabilities.onMinLength('x');
  assert.equal(capabilities.first.min, 5 * MIB);
  capabilities.onMinLength(undefined);
  assert.equal(capabilities.first.min, 0, 'a parent that no longer asks for it');
});

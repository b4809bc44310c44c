import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { LEASE_MS, lease } from '#proto/status/status.ts';
import { STUCK_MS } from '../../../services/syncer/leadership/held-entries.ts';
import { UploadLease } from '../../../services/syncer/transfer/upload-lease.ts';
import { TestBus } from '../../support/bus.ts';

let server: TestBus;
let bus: Bus;
before(async () => {
  server = await TestBus.start();
  bus = await server.connect('syncer');
});
after(() => server[Symbol.asyncDispose]());

const repository = 'app';
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const isLost = (error: unknown) => Fault.is(error, 'claim-lost');

const keyOf = (digest: string) =>
  `upload.${createHash('sha256').update(`${repository}!${digest}`).digest('hex').slice(0, 40)}`;

/** Removes the lease, as its expiry does. */
const expire = (digest: string) => bus.remove(lease, keyOf(digest));

test('a transfer that was paused for longer than its lease checks the lease before it sends', async () => {
  const digest = digestOf('taken over');
  let now = 0;
  const clocks = { wall: () => now, monotonic: () => 0 };
  await using first = await UploadLease.acquire(bus, 'one', repository, digest, clocks);
  assert.ok(first);
  assert.equal(await UploadLease.acquire(bus, 'two', repository, digest), undefined);
  await first.ensureHeld();
  await expire(digest);
  await using second = await UploadLease.acquire(bus, 'two', repository, digest);
  assert.ok(second);
  now += LEASE_MS;
  await assert.rejects(first.ensureHeld(), isLost);
  assert.ok(isLost(first.signal.reason));
  await second.ensureHeld();
});

test('an expired lease that no other transfer has taken is renewed', async () => {
  const digest = digestOf('not taken');
  let now = 0;
  const clocks = { wall: () => 0, monotonic: () => now };
  await using held = await UploadLease.acquire(bus, 'one', repository, digest, clocks);
  now += LEASE_MS;
  await expire(digest);
  await held?.ensureHeld();
  assert.equal(await UploadLease.acquire(bus, 'two', repository, digest), undefined);
});

test('the lease of a killed transfer that the bus does not delete is replaced', async () => {
  const digest = digestOf('stuck');
  let now = 0;
  const clocks = { wall: () => 0, monotonic: () => now };
  // The bus keeps the entry, as if its clock had been set back; its holder does not renew it.
  await bus.swap(lease, keyOf(digest), { holder: 'one' }, 0);
  assert.equal(await UploadLease.acquire(bus, 'two', repository, digest, clocks), undefined);
  now += STUCK_MS - 1;
  assert.equal(await UploadLease.acquire(bus, 'two', repository, digest, clocks), undefined);
  now += 1;
  await using second = await UploadLease.acquire(bus, 'two', repository, digest, clocks);
  assert.ok(second);
});

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import { HeldContent, type HeldDeps } from '../../../services/storage/backup/held-content.ts';
import { TargetLock } from '../../../services/storage/backup/target/target-lock.ts';
import { BlobStore } from '../../../services/storage/content/blob-store.ts';
import { Metadata, put } from '../../../services/storage/metadata/metadata.ts';
import { quiet } from '../../support/bus.ts';
import { sharedFolder } from '../../support/shared-folder.ts';
import { until } from '../../support/until.ts';
import { bytesOf, digestOf, fault } from '../rig.ts';

const root = sharedFolder('held');

const [one, two] = [digestOf(bytesOf('1')), digestOf(bytesOf('2'))] as [string, string];

async function holding(
  low: boolean,
  maxIdleMs: number,
  work: (held: HeldContent, deps: HeldDeps) => Promise<void>,
) {
  const data = await mkdtemp(join(root, 'data-'));
  await using metadata = await Metadata.open(join(data, 'metadata'));
  const store = new BlobStore(data);
  for (const digest of [one, two]) {
    await mkdir(dirname(store.file(digest)), { recursive: true });
    await writeFile(store.file(digest), '');
  }
  const space = { current: async () => ({ free: 1, reserve: 2, low }) };
  const deps = { metadata, store, locks: new KeyedLock(), space, log: quiet, now: Date.now };
  const reasons: unknown[] = [];
  await using held = new HeldContent(deps, (reason) => reasons.push(reason), maxIdleMs);
  await work(held, deps);
  return reasons;
}

test('deletions wait for the end of a hold; content that is here again by then stays', async () => {
  const reasons = await holding(false, 60_000, async (held, { store, metadata }) => {
    for (const digest of [one, two]) await store.remove(digest);
    assert.equal(store.hold.current?.files, 2);
    await (metadata as Metadata).write(put.blob(two, { size: 0 }));
    assert.deepEqual(
      [one, two].map((digest) => existsSync(store.file(digest))),
      [true, true],
    );
    await held[Symbol.asyncDispose]();
    assert.deepEqual(
      [one, two].map((digest) => existsSync(store.file(digest))),
      [false, true],
    );
    assert.equal(store.hold.current, undefined);
    await store.remove(two);
    assert.ok(!existsSync(store.file(two)), 'without a hold, at once');
  });
  assert.deepEqual(reasons, []);
});

test('a hold ends with the backup that makes no progress, and frees what was deleted', async () => {
  const reasons = await holding(false, 50, async (_, { store }) => {
    await store.remove(one);
    await until(() => !existsSync(store.file(one)), 'the hold has ended');
  });
  assert.ok(Fault.is(reasons[0], 'unavailable'));
});

test('a hold ends when the data volume is short of space, if it holds something', async () => {
  const reasons = await holding(true, 400, async (held, { store }) => {
    const moving = setInterval(() => held.moved(), 20);
    await store.remove(one);
    await until(() => !existsSync(store.file(one)), 'the hold has ended');
    clearInterval(moving);
  });
  assert.ok(Fault.is(reasons[0], 'no-space'));
});

test('a target has one user at a time; the lock of a process that ended is taken over', async () => {
  const path = join(root, 'lock');
  {
    await using lock = await TargetLock.take(path);
    await lock.mustHold();
    await assert.rejects(TargetLock.take(path), fault('busy'));
    await writeFile(path, 'another host - - 1 1 token 0\n');
    await assert.rejects(lock.mustHold(), fault('busy'));
  }
  assert.ok(existsSync(path), 'the lock of another one stays');
  await rm(path);
  const own = await TargetLock.take(path);
  const text = await readFile(path, 'utf8');
  await own[Symbol.asyncDispose]();
  const MAX_PID = 2 ** 22 - 1;
  await writeFile(path, text.replace(` ${process.pid} `, ` ${MAX_PID} `));
  await using next = await TargetLock.take(path);
  await next.mustHold();
  await next[Symbol.asyncDispose]();
  assert.ok(!existsSync(path));
});

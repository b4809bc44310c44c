import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { activateChild, deactivateChild, layerInstance, listChildren } from '#proto/accounts/children.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { patience } from '../../support/until.ts';
import { connectAll, fault, Rig } from '../rig.ts';

/** The activated instance of each layer below, and the instance of this layer. */

const MAIN = join(import.meta.dirname, '../../../services/storage/main.ts');
const buses = await connectAll();
const operator = await buses.server.connect('operator');
after(() => buses.server[Symbol.asyncDispose]());
const one = randomUUID();
const two = randomUUID();

test('of many instances that ask at once one is activated, and stays activated across restarts', async () => {
  await using rig = await Rig.open(buses);
  const { call } = rig.gateway;
  const instances = Array.from({ length: 20 }, () => randomUUID());
  const answers = await Promise.allSettled(
    instances.map((instance) => call(activateChild, { name: 'line-1', instance })),
  );
  const winners = instances.filter((_, index) => answers[index]?.status === 'fulfilled');
  assert.equal(winners.length, 1);
  const [winner = ''] = winners;
  const since = rig.now;
  for (const answer of answers) {
    if (answer.status === 'rejected') fault('already-activated', { child: 'line-1', since })(answer.reason);
    else assert.deepEqual(answer.value, { made: true, since });
  }
  await rig.restart();
  assert.deepEqual(await call(activateChild, { name: 'line-1', instance: winner }), { made: false, since });
  for (const instance of instances.filter((each) => each !== winner).slice(0, 3)) {
    await assert.rejects(call(activateChild, { name: 'line-1', instance }), fault('already-activated'));
  }
  assert.deepEqual(await call(activateChild, { name: 'line-2', instance: one }), { made: true, since });
});

test('contact is recorded once a minute at most; after deactivation the next instance is activated', async () => {
  await using rig = await Rig.open(buses);
  const { call } = rig.gateway;
  const since = rig.now;
  const list = async () => (await operator.call(listChildren, { limit: 10 })).children;
  await call(activateChild, { name: 'line-1', instance: one });
  rig.now += 59_000;
  await call(activateChild, { name: 'line-1', instance: one });
  assert.deepEqual(await list(), [{ name: 'line-1', instance: one, since, seen: since }]);
  rig.now += 1_000;
  await call(activateChild, { name: 'line-1', instance: one });
  // A refused request does not count as contact.
  rig.now += 120_000;
  await assert.rejects(
    call(activateChild, { name: 'line-1', instance: two }),
    fault('already-activated', { since }),
  );
  const was = { name: 'line-1', instance: one, since, seen: since + 60_000 };
  assert.deepEqual(await list(), [was]);
  assert.deepEqual(await operator.call(deactivateChild, { name: 'line-1' }), { previous: was });
  assert.deepEqual(await operator.call(deactivateChild, { name: 'line-1' }), {});
  assert.deepEqual(await list(), []);
  assert.equal((await call(activateChild, { name: 'line-1', instance: two })).made, true);
  await assert.rejects(call(activateChild, { name: 'line-1', instance: one }), fault('already-activated'));
});

test('children are listed in pages', async () => {
  await using rig = await Rig.open(buses);
  for (const name of ['a', 'b', 'c']) await rig.gateway.call(activateChild, { name, instance: randomUUID() });
  const page = await operator.call(listChildren, { limit: 2 });
  assert.deepEqual([page.children.map(({ name }) => name), page.more], [['a', 'b'], true]);
  const rest = await operator.call(listChildren, { after: 'b', limit: 2 });
  assert.deepEqual([rest.children.map(({ name }) => name), rest.more], [['c'], false]);
});

test('a layer is the same instance for the lifetime of its data volume', async () => {
  const ids: string[] = [];
  for (let volume = 0; volume < 2; volume += 1) {
    await using rig = await Rig.open(buses);
    const ask = async () => (await rig.syncer.call(layerInstance, {})).instance;
    const instance = await ask();
    await rig.restart();
    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [instance, instance, instance]);
    ids.push(instance);
  }
  assert.notEqual(ids[0], ids[1]);
});

test('after a kill while instances ask, every instance with a confirmed activation is activated', async () => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-children-'));
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, [MAIN], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        TERRACE_DATA: data,
        TERRACE_BUS: buses.server.url,
        TERRACE_BUS_PASSWORD: 'secret-of-storage',
        TERRACE_LOG: 'error',
      },
    });
    await buses.gateway.call(storageStatus, {}, { patience: patience() });
    return child;
  };
  const first = await start();
  const { instance: own } = await buses.syncer.call(layerInstance, {});
  const confirmed = new Map<string, string>();
  const end = new AbortController();
  const { signal } = end;
  const work = Array.from({ length: 4 }, async (_, worker) => {
    for (let i = 0; !signal.aborted; i += 1) {
      const name = `c-${worker}-${i}`;
      const instance = randomUUID();
      await buses.gateway.call(activateChild, { name, instance }, { signal });
      confirmed.set(name, instance);
      if (confirmed.size === 10) first.kill('SIGKILL');
    }
  });
  await once(first, 'exit');
  end.abort();
  await Promise.allSettled(work);

  const second = await start();
  assert.ok(confirmed.size >= 10);
  for (const [name, instance] of confirmed) {
    assert.equal((await buses.gateway.call(activateChild, { name, instance })).made, false, name);
  }
  assert.equal((await buses.syncer.call(layerInstance, {})).instance, own);
  second.kill('SIGTERM');
  await once(second, 'exit');
  await rm(data, { recursive: true, force: true });
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { layerStatus } from '#proto/overview/layer-status.ts';
import { COORDINATOR_KEY, lease } from '#proto/status/status.ts';
import { transferFinished, transferStarted } from '#proto/sync/transfers.ts';
import { describeStatus } from '../../../../cli/commands/observe/status.ts';
import { dataFolder } from '../../../../cli/data/data-folder.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { type TestLayer, testLayer } from '../../../support/layer.ts';
import { startProxy } from '../../../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../../../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../../../support/registry/image.ts';
import { type RunningCommand, runCommand, startCommand } from '../../../support/terrace.ts';
import { slowedRate, until } from '../../../support/until.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
let cloud: Cloud;
let data: string;
before(async () => {
  cloud = await startCloud();
  data = await mkdtemp(join(tmpdir(), 'terrace-join-'));
});
after(async () => {
  await cloud?.[Symbol.asyncDispose]();
  await rm(data, { recursive: true, force: true });
});

/** Pids of the processes that this process has started. */
const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
const pidOf = (syncer: string) => Number(/-(\d+)-[0-9a-f]+$/.exec(syncer)?.[1]);
const isRunning = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const syncersOf = async (layer: TestLayer) => (await layerStatus(layer.bus())).syncers;
const syncerPids = (typed: RunningCommand) => childrenOf(typed.child.pid as number);

test('syncers that joined before the layer started take transfers, lose nothing when killed, and end on SIGTERM', async () => {
  await using proxy = await startProxy(cloud.url, { bandwidth: { connection: slowedRate(3 * MIB) } });
  const { layers } = await pushImage(cloud.url, 'joined', 'v1', {
    layers: Array(6)
      .fill(8 * MIB)
      .map((size, i) => size + i),
  });
  const size = layers.reduce((sum, layer) => sum + layer.size, 0);
  await using first = startCommand('syncer', '--data', data);
  await first.untilOutput(/^No layer has run on .*: waiting …$/m);
  await using layer = await testLayer({
    data,
    parent: proxy.url,
    name: 'line-7',
    repositories: ['joined'],
    connections: 1,
    schedule: '0 0 1 1 *',
  });
  await first.untilOutput(/^Joined layer "line-7" at nats:.* with 1 syncer\.$/m);
  await until(async () => (await syncersOf(layer)).length === 2);

  const [pid] = syncerPids(first) as [number];
  const pass = layer.sync();
  pass.catch(() => {});
  await layer.event(transferStarted, ({ syncer }) => pidOf(syncer) === pid);
  // Each syncer may be idle for a moment between two blobs.
  const joiners = new RegExp(
    `^  syncer-.*-${pid}-\\w+ on .*: 1 transfer\\n    down sha256:\\S+ .* of 8\\.4 MB`,
    'm',
  );
  const coordinators = /^ {2}syncer-\S+ on \S+, coordinator: 1 transfer\n {4}down sha256:/m;
  await until(async () => {
    const status = await layerStatus(layer.bus());
    const text = describeStatus(status, Date.now());
    const isTransferring = status.syncers.some(
      (syncer) => syncer.pid === pid && (syncer.transfers[0]?.done ?? 0) > MIB,
    );
    return isTransferring && joiners.test(text) && coordinators.test(text);
  });

  // However long a command takes to start: the layer's own syncer is still at its blob when the others join.
  proxy.bandwidth = { connection: 16 * KIB };
  // The command and its syncer, in the middle of a blob.
  process.kill(first.child.pid as number, 'SIGKILL');
  process.kill(pid, 'SIGKILL');
  await using second = startCommand('syncer', '--data', data, '--syncers', '2');
  await second.untilOutput(/with 2 syncers\.$/m);
  await until(async () => (await syncersOf(layer)).length === 3);
  proxy.bandwidth = { connection: slowedRate(3 * MIB) };
  let result = await pass;
  for (let attempt = 0; !result.ok && attempt < 5; attempt += 1) result = await layer.sync();
  assert.deepEqual(result.failures, []);
  assert.equal(await firstDifference(cloud.url, layer.url, ['joined']), undefined);
  assert.ok(proxy.bytesOf(/\/blobs\//) < size + 4 * MIB, 'bytes that had arrived were transferred again');
  const joinedPids = new Set(syncerPids(second));
  const finished = layer.events.filter(({ type }) => type === `terrace.${transferFinished.type}`);
  const activePids = new Set(finished.map(({ data }) => pidOf((data as { syncer: string }).syncer)));
  assert.ok(
    [...joinedPids].some((joined) => activePids.has(joined)),
    'no syncer that joined later has taken a transfer',
  );

  // The last state of a transfer that has just ended may still be shown.
  assert.match(
    (await runCommandHere('status', '--data', data)).text,
    /^Syncers:(\n {2}syncer-\S+ on \S.*(\n {4}down .*)*){3}\n\n/m,
  );
  second.child.kill('SIGTERM');
  assert.equal(await second.exited(), 0);
  assert.match(second.text, /Stopping …\nStopped\.\n$/);
  assert.deepEqual([...joinedPids].filter(isRunning), []);
  await until(async () => (await syncersOf(layer)).length === 1);
  // The lease is free for a moment if one of those that ended had it.
  await until(async () => {
    const { holder = '' } = (await layer.bus().get(lease, COORDINATOR_KEY))?.value ?? {};
    return pidOf(holder) === layer.pid('syncer-1');
  }, 'the syncer of the layer coordinates');
});

test('a command that waits for a layer ends on SIGTERM', async () => {
  await using waiting = startCommand('syncer', '--data', join(data, 'nothing'));
  await waiting.untilOutput(/^No layer has run on .*: waiting …$/m);
  waiting.child.kill('SIGTERM');
  assert.equal(await waiting.exited(), 0);
});

test('another folder or wrong credentials are refused with the reason, and no transfer is taken', async () => {
  await using layer = await testLayer({ compact: 'hosted' });
  const elsewhere = await mkdtemp(join(tmpdir(), 'terrace-elsewhere-'));
  try {
    const folder = dataFolder(layer.data);
    const url = readFileSync(folder.busUrl, 'utf8').trim();
    const password = folder.password('syncer');
    const named = ['syncer', '--data', elsewhere, '--bus', url, '--credentials'];
    const wrong = await runCommand(...named, password);
    assert.equal(wrong.code, 1);
    assert.match(wrong.text, /^terrace: --data: .* is not the data volume of the layer at nats:/m);
    const other = await runCommand(...named, folder.password('monitor'));
    assert.equal(other.code, 77);
    assert.match(other.text, /rejects these credentials: .* with --credentials$/m);
    const none = await runCommand(...named, join(elsewhere, 'none'));
    assert.equal(none.code, 2);
    assert.match(none.text, /--credentials: .* can't be read \(ENOENT\)/);
    for (const [option, value, message] of [
      ['--bus', 'nats:4222', /--bus "nats:4222" is not valid: write nats:\/\/host:port/],
      ['--syncers', '0', /write a whole number from 1 to 64/],
    ] as const) {
      const refused = await runCommand('syncer', '--data', elsewhere, option, value);
      assert.equal(refused.code, 2);
      assert.match(refused.text, message);
    }
    assert.equal((await syncersOf(layer)).length, 1);
    assert.deepEqual((await layerStatus(layer.bus())).storage?.ingests, []);

    // With the address of the bus and a file of credentials, as on another host that has mounted the volume.
    await mkdir(join(elsewhere, 'bus'));
    await cp(password, join(elsewhere, 'bus/secret'));
    await using remote = startCommand(
      'syncer',
      '--data',
      layer.data,
      '--bus',
      url,
      '--credentials',
      join(elsewhere, 'bus/secret'),
    );
    await remote.untilOutput(/^Joined layer "layer"/m);
    await until(async () => (await syncersOf(layer)).length === 2);
  } finally {
    await rm(elsewhere, { recursive: true, force: true });
  }
});

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Level } from 'level';
import type { Bus } from '#proto/bus/bus.ts';
import { findDeltas, refuseDelta } from '#proto/content/deltas.ts';
import { collectGarbage } from '#proto/content/maintenance.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { TestBus } from '../../support/bus.ts';
import { until } from '../../support/until.ts';
import { bytesOf, Client, digestOf, random } from '../rig.ts';
import { app, type DeltaSample, keepDelta, sampleDelta } from './delta-rig.ts';

const MAIN = join(import.meta.dirname, '../../../services/storage/main.ts');
const WORKERS = 4;
const ROUNDS = 4;

let server: TestBus;
before(async () => {
  server = await TestBus.start();
});
const started: ChildProcess[] = [];
after(async () => {
  for (const child of started) child.kill('SIGKILL');
  await server[Symbol.asyncDispose]();
});

async function startStorage(data: string, bus: Bus): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      TERRACE_DATA: data,
      TERRACE_BUS: server.url,
      TERRACE_BUS_PASSWORD: 'secret-of-storage',
      TERRACE_LOG: 'error',
    },
  });
  started.push(child);
  const answers = () =>
    bus.call(storageStatus, {}, { patience: 0 }).then(
      () => true,
      () => false,
    );
  await until(answers, 'storage answers');
  return child;
}

test('after kills amid commits and deletions, each delta has its record and its content, or neither', async () => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-delta-crash-'));
  const bus = await server.connect('syncer');
  let to = '';
  const bases: string[] = [];
  const confirmed = new Map<string, DeltaSample>();
  /** Pairs whose deltas a request was to delete. */
  const refused = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const storage = await startStorage(data, bus);
    const end = new AbortController();
    const client = new Client(bus, data, 'syncer-1');
    client.call = (contract, query) => bus.call(contract, query, { signal: end.signal });
    if (round === 0) {
      const gateway = new Client(await server.connect('gateway'), data, 'gateway-1');
      await gateway.pushImage(app, 'target', { tag: 'v1' });
      to = digestOf(bytesOf('target'));
      for (let i = 0; i < 40; i += 1) bases.push(await gateway.push(app, random(100 + i)));
    }
    let left = 10 + Math.floor(Math.random() * 30);
    const onConfirmed = () => {
      left -= 1;
      if (left === 0) storage.kill('SIGKILL');
    };
    const work = Array.from({ length: WORKERS }, async (_, worker) => {
      for (let turn = 0; !end.signal.aborted; turn += 1) {
        const base = bases[(turn * WORKERS + worker) % bases.length] as string;
        const sample = sampleDelta(to, [base], 1 + Math.floor(Math.random() * 100_000));
        const isKept = await keepDelta(client, sample).then(
          () => true,
          () => false,
        );
        if (isKept) confirmed.set(sample.digest, sample);
        onConfirmed();
        if (turn % 4 !== 3) continue;
        refused.add(base);
        const pair = { to, from: [base], format: DELTA_FORMAT, reason: 'wrong' as const };
        await client.call(refuseDelta, pair).catch(() => {});
        onConfirmed();
      }
    });
    await once(storage, 'exit');
    end.abort();
    await Promise.all(work);
  }

  const storage = await startStorage(data, bus);
  for (const base of bases) await bus.call(findDeltas, { repository: app, wanted: [to], held: [base] });
  // What a kill has left without a name goes with the next garbage collection.
  await (await server.connect('operator')).call(collectGarbage, { dryRun: false, now: true });
  const { deltas } = await bus.call(storageStatus, {});
  const exit = once(storage, 'exit');
  storage.kill('SIGTERM');
  await exit;

  const db = new Level<string, unknown>(join(data, 'metadata'), { valueEncoding: 'json' });
  const kept = new Set<string>();
  let bytes = 0;
  for await (const [key, value] of db.iterator<string, { size: number }>({ gt: 'L!', lt: 'L"' })) {
    const digest = key.slice(2);
    kept.add(digest);
    bytes += value.size;
    assert.deepEqual(await db.get(`b!${digest}`), { size: value.size }, 'content has its record');
    const hex = digest.slice('sha256:'.length);
    assert.equal(digestOf(await readFile(join(data, 'blobs/sha256', hex.slice(0, 2), hex))), digest);
  }
  assert.deepEqual([deltas?.count, deltas?.bytes], [kept.size, bytes]);
  for (const [digest, { delta }] of confirmed) {
    if (!refused.has(delta.from[0] as string)) assert.ok(kept.has(digest), 'what was confirmed is here');
  }
  assert.ok(confirmed.size >= ROUNDS * 3, `only ${confirmed.size} were confirmed`);
  // No content is left that nothing names.
  for await (const key of db.keys({ gt: 'b!', lt: 'b"' })) {
    const digest = key.slice(2);
    const [link, manifest] = await db.getMany([`l!${app}!${digest}`, `m!${app}!${digest}`]);
    assert.ok(kept.has(digest) || link || manifest, `${digest} is named`);
  }
  await db.close();
  assert.deepEqual(
    (await readdir(join(data, 'ingest'))).filter((name) => name.startsWith('new-')),
    [],
  );
  await rm(data, { recursive: true, force: true });
});

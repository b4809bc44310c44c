import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Level } from 'level';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { getManifest, pushImage } from '../support/registry/image.ts';
import { runCommand } from '../support/terrace.ts';

/** Layers below keep content that a layer has lost: the loss is not taken for a deletion. */

const stack = new AsyncDisposableStack();
let top: TestLayer;
let children: TestLayer[];
before(async () => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-lost-'));
  stack.defer(() => rm(data, { recursive: true, force: true }));
  top = stack.use(await testLayer({ name: 'top', compact: 'hosted', data }));
  const startChild = async (mode: 'ReadOnly' | 'ReadWrite') =>
    stack.use(await testLayer({ name: mode.toLowerCase(), mode, parent: top.url, compact: 'hosted' }));
  children = [await startChild('ReadOnly'), await startChild('ReadWrite')];
});
after(() => stack.disposeAsync());

test('a tag that a repaired parent lacks stays at its children, and a ReadWrite child pushes it again', async () => {
  const kept = await pushImage(top.host, 'line/app', 'kept');
  const lost = await pushImage(top.host, 'line/app', 'lost');
  for (const layer of children) assert.deepEqual((await layer.sync()).failures, []);
  await top.stop();
  const db = new Level(join(top.data, 'metadata'));
  await db.del('t!line/app!lost');
  await db.close();
  // From events, the repair would restore the tag.
  await rm(join(top.data, 'bus/jetstream'), { recursive: true });
  const { code, text } = await runCommand('repair', '--force', '--open', '--data', top.data);
  assert.equal(code, 0, text);
  const audit = await readFile(join(top.data, 'log/audit.log'), 'utf8');
  assert.match(audit, /"account":"_operator".*"action":"metadata\/repair","outcome":"done"/);
  await top.start();
  assert.equal(await getManifest(top.host, 'line/app', 'lost'), undefined);
  const [readOnly, readWrite] = children as [TestLayer, TestLayer];
  for (const layer of [readOnly, readWrite]) {
    assert.deepEqual((await layer.sync()).failures, []);
    for (const [tag, { digest }] of Object.entries({ kept, lost })) {
      assert.equal((await getManifest(layer.host, 'line/app', tag))?.digest, digest, tag);
    }
  }
  assert.equal((await getManifest(top.host, 'line/app', 'lost'))?.digest, lost.digest);
  assert.deepEqual((await readOnly.sync()).failures, []);
});

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Level } from 'level';
import { keys, kinds, prefix, rangeOf } from '../../../services/storage/metadata/keys.ts';
import { drop, Metadata, put } from '../../../services/storage/metadata/metadata.ts';

const WRITER = join(import.meta.dirname, 'counters-writer.ts');
const digestOf = (n: number) => `sha256:${String(n).padStart(64, '0')}`;

class Folder implements AsyncDisposable {
  readonly root: string;
  readonly metadata: string;

  static create = async () => new Folder(await mkdtemp(join(tmpdir(), 'terrace-counters-')));

  private constructor(root: string) {
    this.root = root;
    this.metadata = join(root, 'metadata');
  }

  /** Changes records behind the back of `Metadata`. */
  async edit(work: (level: Level<string, unknown>) => Promise<unknown>): Promise<void> {
    const level = new Level<string, unknown>(this.metadata, { valueEncoding: 'json' });
    await level.open();
    await work(level);
    await level.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true });
  }
}

/** Content of each kind that is counted, some of it dropped again. */
async function fill(metadata: Metadata): Promise<void> {
  const writes = Array.from({ length: 20 }, (_, n) =>
    metadata.write([
      ...put.blob(digestOf(n), { size: 10 + n }),
      // Of a repository of its own: writers of the same record hold a lock.
      ...put.link(`lib/${n}`, digestOf(n)),
      ...put.tag('lib/app', `v${n}`, digestOf(n)),
      ...put.unsent('lib/app', digestOf(n), { since: metadata.instant(1_000) }),
    ]),
  );
  await Promise.all(writes);
  await metadata.write([...put.damaged(digestOf(3), { size: 13, since: 1 }), ...drop.tag('lib/app', 'v4')]);
  await metadata.write([...drop.unsent('lib/app', digestOf(5)), ...drop.blob(digestOf(6))]);
  await metadata.write([
    ...put.behind('lib/app', 'a', { target: digestOf(1), since: 1, bytes: 40 }),
    ...put.behind('lib/app', 'b', { target: digestOf(1), since: 1, code: 'denied', reason: 'no' }),
    ...put.behind('lib/app', 'c', { target: null, since: 1 }),
    ...put.uncompared('lib/app', { code: 'denied', reason: 'no', since: 1 }),
    ...put.behind('lib/app', 'd', { target: digestOf(1), since: 1, bytes: 5 }),
    ...put.tag('lib/app', 'v9.conflict-line-aaaaaaaaaaaa', digestOf(9)),
  ]);
  await metadata.write(put.base('lib/app', 'd', digestOf(1)));
  const token = { enabled: true, scopeMap: 'all', created: 1, passwords: [] };
  await metadata.write([...put.token('ci', token), ...put.scopeMap('all', { actions: [] })]);
}

const COUNTERS = {
  repositories: 20,
  tags: 20,
  conflicts: 1,
  behind: 3,
  behindBytes: 40,
  behindUnsized: 1,
  behindFailed: 1,
  uncompared: 1,
  blobs: 18,
  bytes: 20 * 10 + 190 - 13 - 16,
  damaged: 1,
  unsent: 19,
  withdrawn: 0,
  parked: 0,
  tokens: 1,
  scopeMaps: 1,
};

test('counters are stored: an opening reads them instead of the records', async () => {
  await using folder = await Folder.create();
  {
    await using metadata = await Metadata.open(folder.metadata);
    await fill(metadata);
    assert.deepEqual(metadata.counters, COUNTERS);
  }
  {
    await using metadata = await Metadata.open(folder.metadata);
    assert.deepEqual(metadata.counters, COUNTERS);
    assert(metadata.instant(0) >= 1_000 + 20, 'an instant is later than all before it');
  }
  await folder.edit((level) => level.put(keys.tag('lib/app', 'behind'), digestOf(1)));
  await using metadata = await Metadata.open(folder.metadata);
  assert.deepEqual(metadata.counters, COUNTERS);
});

test('counters that differ from the records are corrected, also while batches are written', async () => {
  await using folder = await Folder.create();
  {
    await using metadata = await Metadata.open(folder.metadata);
    await fill(metadata);
    assert.equal(await metadata.correctCounters(), undefined);
  }
  await folder.edit((level) => level.put(keys.tag('lib/app', 'behind'), digestOf(1)));
  await folder.edit((level) => level.del(keys.blob(digestOf(1))));
  {
    await using metadata = await Metadata.open(folder.metadata);
    const correction = metadata.correctCounters();
    await metadata.write(put.tag('lib/app', 'meanwhile', digestOf(2)));
    assert.deepEqual(await correction, { tags: 1, blobs: -1, bytes: -11 });
    const expected = { ...COUNTERS, tags: 22, blobs: 17, bytes: COUNTERS.bytes - 11 };
    assert.deepEqual(metadata.counters, expected);
    assert.equal(await metadata.correctCounters(), undefined);
  }
  await using metadata = await Metadata.open(folder.metadata);
  assert.equal(metadata.counters.tags, 22);
});

test('metadata of the version without stored counters, or whose counters a repair deleted, is counted', async () => {
  await using folder = await Folder.create();
  {
    await using metadata = await Metadata.open(folder.metadata);
    await fill(metadata);
  }
  // What an opening that was interrupted before it wrote the version, or an earlier version, leaves there.
  await folder.edit((level) =>
    level.batch([
      { type: 'put', key: keys.version, value: 4 },
      { type: 'put', key: keys.counters, value: { tags: 1_000 } },
      { type: 'put', key: `${prefix(kinds.counters)}77`, value: { blobs: 1_000 } },
    ]),
  );
  {
    await using metadata = await Metadata.open(folder.metadata);
    assert.deepEqual(metadata.counters, COUNTERS);
    assert.equal(await metadata.correctCounters(), undefined);
  }
  await folder.edit((level) => level.clear(rangeOf(prefix(kinds.counters))));
  for (let opening = 0; opening < 2; opening += 1) {
    await using metadata = await Metadata.open(folder.metadata);
    assert.deepEqual(metadata.counters, COUNTERS);
    assert.equal(await metadata.correctCounters(), undefined);
  }
});

test('whether there are accounts is counted at each opening, whatever is stored', async () => {
  await using folder = await Folder.create();
  {
    await using metadata = await Metadata.open(folder.metadata);
    await fill(metadata);
  }
  await folder.edit((level) => level.put(keys.counters, { tokens: -1 }));
  await using metadata = await Metadata.open(folder.metadata);
  assert.equal(metadata.counters.tokens, 1);
});

test('after each kill while batches are written, the stored counters are those of the records', async () => {
  await using folder = await Folder.create();
  for (let round = 0; round < 3; round += 1) {
    const writer = spawn(process.execPath, [WRITER, folder.metadata], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(writer, 'exit');
    let batches = 0;
    for await (const _ of createInterface(writer.stdout)) {
      batches += 1;
      if (batches === 200 + round) writer.kill('SIGKILL');
    }
    await exit;
    await using metadata = await Metadata.open(folder.metadata);
    assert(metadata.counters.blobs > 0);
    assert.equal(await metadata.correctCounters(), undefined);
  }
});

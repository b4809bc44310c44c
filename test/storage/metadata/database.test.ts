import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Level } from 'level';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import {
  examineMetadata,
  MAX_TABLE_BYTES_AT_OPENING,
} from '../../../services/storage/metadata/open-level.ts';
import { fault } from '../samples.ts';

const MIB = 1024 * 1024;
const VALUE_BYTES = 128 * 1024;
const never = new AbortController().signal;

let root: string;
let folder: string;
let oldest: string;
let newest: string;

/** More tables than an opening reads. */
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'terrace-database-'));
  folder = join(root, 'metadata');
  {
    await using metadata = await Metadata.open(folder);
    for (let n = 0; n < (2 * MAX_TABLE_BYTES_AT_OPENING) / VALUE_BYTES; n += 1) {
      const value = randomBytes(VALUE_BYTES / 2).toString('hex');
      await metadata.write([{ type: 'put', key: `Z!${n}`, value }]);
    }
  }
  // Compacted tables stay as they are at later openings.
  const level = new Level(folder) as Level & { compactRange(first: string, last: string): Promise<void> };
  await level.open();
  await level.compactRange('', '~');
  await level.close();
  const paths = (await readdir(folder))
    .filter((name) => name.endsWith('.ldb'))
    .map((name) => join(folder, name));
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  const tables = paths.filter((_, i) => (sizes[i] as number) > MIB).sort();
  assert(tables.length > 4);
  oldest = tables[0] as string;
  newest = tables.at(-1) as string;
});
after(() => rm(root, { recursive: true }));

/** Runs `work` while one byte of the file is another one. */
async function damaged(path: string, work: () => Promise<void>): Promise<void> {
  const bytes = await readFile(path);
  const flipped = Buffer.from(bytes);
  flipped[1_000] = (flipped[1_000] as number) ^ 0x10;
  await writeFile(path, flipped);
  try {
    await work();
  } finally {
    await writeFile(path, bytes);
  }
}

test('all tables of intact metadata are read, the newest at the opening and the others afterwards', async () => {
  await using metadata = await Metadata.open(folder);
  const failed = metadata.failure.then(
    () => false,
    () => true,
  );
  await metadata.examineRest(never);
  assert.equal(await Promise.race([failed, false]), false);
});

test('with a damaged new table, the opening is refused', async () => {
  await damaged(newest, async () => {
    await assert.rejects(Metadata.open(folder), fault('volume-unusable'));
  });
});

test('a damaged old table is found after the opening: storage fails with the fault of a refused opening', async () => {
  await damaged(oldest, async () => {
    await using metadata = await Metadata.open(folder);
    await metadata.examineRest(never);
    const refused = (error: Error) =>
      fault('volume-unusable')(error) && /is damaged at byte .*terrace repair --data/.test(error.message);
    await assert.rejects(metadata.failure, refused);
    await assert.rejects(metadata.write([{ type: 'put', key: 'Z!more', value: 1 }]), refused);
  });
});

test('a repair examines all tables', async () => {
  await damaged(oldest, async () => {
    const { findings } = await examineMetadata(folder, 'this');
    assert.equal(findings.length, 1);
  });
});

test('a missing or truncated old table is found at the opening', async () => {
  const bytes = await readFile(oldest);
  for (const change of [() => rm(oldest), () => writeFile(oldest, bytes.subarray(0, -1))]) {
    await change();
    await assert.rejects(Metadata.open(folder), fault('volume-unusable'));
    await writeFile(oldest, bytes);
  }
});

test('the examination of the other tables ends with the process', async () => {
  await using metadata = await Metadata.open(folder);
  const end = new AbortController();
  const examined = metadata.examineRest(end.signal);
  end.abort();
  await examined;
  await metadata.write([{ type: 'put', key: 'Z!0', value: 1 }]);
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { crc32c } from '../../../services/storage/leveldb/crc32c.ts';
import { readDatabaseManifest } from '../../../services/storage/leveldb/database-manifest.ts';
import { BLOCK, HEADER, logOf, logParts } from '../../../services/storage/leveldb/log-records.ts';
import { readWriteBatch } from '../../../services/storage/leveldb/write-batch.ts';
import { type Batch, KilledDatabase, look } from './database.ts';

/** What LevelDB does not tell of its own accord: whether all that was written can be read. Real files of LevelDB. */

const synced = (count: number, size: number, from = 0): Batch[] =>
  Array.from({ length: count }, (_, i) => ({
    sync: true,
    entries: [[`t!repository!tag-${String(from + i).padStart(6, '0')}`, randomBytes(size).toString('hex')]],
  }));
const noted = (count: number): Batch[] =>
  Array.from({ length: count }, (_, i) => ({ sync: false, entries: [[`i!upload-${i}`, { touched: i }]] }));

let db: KilledDatabase;
let ends: Record<'log' | 'table' | 'manifest' | 'current', string>;
before(async () => {
  db = await KilledDatabase.make(synced(300, 60), [...synced(120, 400, 500), ...noted(3)]);
  ends = {
    log: await db.file(/\.log$/),
    table: await db.file(/\.ldb$/),
    manifest: await db.file(/^MANIFEST-/),
    current: await db.file(/^CURRENT$/),
  };
});
after(() => db[Symbol.asyncDispose]());

const flipped = (at: number) => (bytes: Buffer) => {
  bytes[at] = (bytes[at] as number) ^ 0x10;
  return bytes;
};
const without = (path: string) =>
  db.with(
    path,
    () => undefined,
    (folder) => look(folder, 'unsynced'),
  );

test('what is as it was written has nothing to tell', async () => {
  for (const mayLack of ['nothing', 'unsynced'] as const) {
    assert.deepEqual(await look(db.folder, mayLack), { empty: false, findings: [], torn: [] });
  }
  assert.deepEqual(await look(`${db.folder}-none`, 'nothing'), { empty: true, findings: [], torn: [] });
});

test('CRC-32C has the value that its standard gives (RFC 3720, B.4)', () => {
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from('xx123456789'), 2), 0xe3069283);
});

test('any byte of a log, changed, is found', async () => {
  const { length } = await readFile(ends.log);
  for (let at = 0; at < length; at += 397) {
    const { findings } = await db.with(ends.log, flipped(at), (folder) => look(folder, 'nothing'));
    assert.equal(findings.length, 1, `byte ${at}`);
    assert.match(findings[0]?.what ?? '', /^is damaged at byte \d+, \d+ bytes$/);
    assert.equal(findings[0]?.file, basename(ends.log));
  }
});

test('after a power cut, one that was on the disk is found too', async () => {
  // A damaged length near the end of the log is what LevelDB takes for the end of it.
  for (const at of [4, 5, 100, BLOCK + 4, 2 * BLOCK + 100]) {
    const { findings } = await db.with(ends.log, flipped(at), (folder) => look(folder, 'unsynced'));
    assert.equal(findings.length, 1, `byte ${at}`);
  }
});

test('any byte of a table, changed, is found, and of the manifest', async () => {
  const table = await readFile(ends.table);
  // The footer has room that nothing is read from.
  for (let at = 0; at < table.length - 48; at += 131) {
    const { findings } = await db.with(ends.table, flipped(at), (folder) => look(folder, 'unsynced'));
    assert.equal(findings.length, 1, `byte ${at}`);
  }
  const manifest = await readFile(ends.manifest);
  for (let at = 0; at < manifest.length; at += 1) {
    const { findings } = await db.with(ends.manifest, flipped(at), (folder) => look(folder, 'nothing'));
    assert.ok(findings.length > 0, `byte ${at} of ${manifest.length}`);
  }
});

/** Where the last record begins. */
const lastOf = (file: Buffer): number => [...logParts(file)].at(-1)?.offset ?? 0;

test('a last record that only its length has go on behind the end of the file was written to its end', async () => {
  for (const file of [ends.log, ends.manifest]) {
    const last = lastOf(await readFile(file));
    for (const at of [last + 4, last + 5]) {
      for (const mayLack of ['nothing', 'unsynced'] as const) {
        const { findings, torn } = await db.with(file, flipped(at), (folder) => look(folder, mayLack));
        assert.match(findings[0]?.what ?? '', /^is damaged/, `byte ${at} of ${basename(file)}`);
        assert.deepEqual([findings.length, torn], [1, []]);
      }
    }
  }
});

test('a manifest that ends too early is damaged where files that it names are gone, or it names too little', async () => {
  const manifest = await readFile(ends.manifest);
  for (let end = lastOf(manifest) + 1; end < manifest.length; end += 1) {
    const cut = (bytes: Buffer) => bytes.subarray(0, end);
    const { findings } = await db.with(ends.manifest, cut, (folder) => look(folder, 'nothing'));
    assert.match(findings[0]?.file ?? '', /^MANIFEST/, `${end} of ${manifest.length} bytes`);
  }
});

test('what is missing is named', async () => {
  for (const path of Object.values(ends)) {
    const { findings } = await without(path);
    assert.deepEqual(findings, [{ file: basename(path), what: 'is missing' }]);
  }
  const odd = await db.with(
    ends.current,
    () => Buffer.from('MANIFEST-'),
    (folder) => look(folder, 'nothing'),
  );
  assert.deepEqual(odd.findings, [{ file: 'CURRENT', what: 'is damaged' }]);
  const short = await db.with(
    ends.table,
    (bytes) => bytes.subarray(0, -10),
    (folder) => look(folder, 'nothing'),
  );
  assert.match(short.findings[0]?.what ?? '', /^has \d+ bytes instead of \d+$/);
});

test('a log that ends anywhere: its writer was killed there', async () => {
  const { length } = await readFile(ends.log);
  for (let end = length; end > 0; end -= 613) {
    for (const mayLack of ['nothing', 'unsynced'] as const) {
      const { findings } = await db.with(
        ends.log,
        (log) => log.subarray(0, end),
        (folder) => look(folder, mayLack),
      );
      assert.deepEqual(findings, [], `${end} of ${length}`);
    }
  }
});

const tails: [name: string, tail: (rest: Buffer) => Buffer][] = [
  ['zeros', (rest) => Buffer.alloc(rest.length)],
  // Behind the header: a length that goes beyond the end is what a killed writer leaves.
  ['garbage', (rest) => Buffer.concat([rest.subarray(0, HEADER), randomBytes(rest.length - HEADER)])],
  [
    'a page that came and one before it that did not',
    (rest) => Buffer.concat([Buffer.alloc(10), rest.subarray(10)]),
  ],
];
for (const [name, tail] of tails) {
  test(`the end of a log that a power cut left torn, ${name}: no damage; without a power cut it is`, async () => {
    // From the last synced record on: it was on its way.
    const from = await offsetOfSynced(-1);
    const torn = (log: Buffer) => Buffer.concat([log.subarray(0, from), tail(log.subarray(from))]);
    const cut = await db.with(ends.log, torn, (folder) => look(folder, 'unsynced'));
    assert.deepEqual(cut, { empty: false, findings: [], torn: [basename(ends.log)] });
    const not = await db.with(ends.log, torn, (folder) => look(folder, 'nothing'));
    assert.equal(not.findings.length, 1);
  });
}

test('a block of zeros among the records of a log is found', async () => {
  const zeros = (log: Buffer) =>
    Buffer.concat([log.subarray(0, BLOCK), Buffer.alloc(BLOCK), log.subarray(2 * BLOCK)]);
  for (const mayLack of ['nothing', 'unsynced'] as const) {
    const { findings } = await db.with(ends.log, zeros, (folder) => look(folder, mayLack));
    assert.ok(findings.length > 0);
  }
});

test('a log that lacks its beginning, or a part of it, is found by the sequence of its records', async () => {
  const records = recordsOf(await readFile(ends.log));
  const lacking = [records.slice(2), [...records.slice(0, 50), ...records.slice(52)]];
  for (const some of lacking) {
    const { findings } = await db.with(
      ends.log,
      () => logOf(some),
      (folder) => look(folder, 'unsynced'),
    );
    assert.match(findings[0]?.what ?? '', /^lacks records at byte \d+$/);
  }
});

test('a log that another one follows may lack records at its end after a power cut, and only then', async () => {
  const records = recordsOf(await readFile(ends.log));
  const next = (readWriteBatch(records.at(-1) as Buffer)?.sequence ?? 0) + 1;
  const later = records.slice(0, 3).map((record, index) => {
    const copy = Buffer.from(record);
    copy.writeBigUInt64LE(BigInt(next + index));
    return copy;
  });
  // What was noted last was in no synced batch.
  const lacking = () => logOf(records.slice(0, -3));
  for (const [mayLack, found] of [
    ['unsynced', []],
    ['nothing', ['lacks records at byte 0']],
  ] as const) {
    const { findings } = await db.with(ends.log, lacking, (folder) =>
      withFile(join(folder, '009999.log'), logOf(later), () => look(folder, mayLack)),
    );
    assert.deepEqual(
      findings.map(({ what }) => what),
      found,
    );
  }
});

test('an opening that is killed after it made the next log leaves the end of the one before as it was', async () => {
  const torn = (log: Buffer) => log.subarray(0, -5);
  const { findings } = await db.with(ends.log, torn, (folder) =>
    withFile(join(folder, '009999.log'), Buffer.alloc(0), () => look(folder, 'nothing')),
  );
  assert.deepEqual(findings, []);
});

test('a log that is written anew is read as it was', async () => {
  const records = recordsOf(await readFile(ends.log));
  assert.equal(records.length, 123);
  assert.deepEqual(recordsOf(logOf(records)), records);
  const sizes = [0, 1, BLOCK - 8, BLOCK - 7, BLOCK - 6, 3 * BLOCK, 5, BLOCK - 20];
  const odd = sizes.map((size) => randomBytes(size));
  assert.deepEqual(recordsOf(logOf(odd)), odd);
});

test('the manifest tells which tables there are', async () => {
  const manifest = readDatabaseManifest(await readFile(ends.manifest));
  assert.equal(manifest?.tables.length, 1);
  assert.deepEqual(
    [manifest?.tables[0]?.smallest, manifest?.tables[0]?.largest],
    ['t!repository!tag-000000', 't!repository!tag-000299'],
  );
});

async function withFile<T>(path: string, bytes: Buffer, work: () => Promise<T>): Promise<T> {
  await writeFile(path, bytes);
  try {
    return await work();
  } finally {
    await rm(path);
  }
}

const recordsOf = (log: Buffer): Buffer[] =>
  [...logParts(log)].flatMap((part) => (part.kind === 'record' ? [Buffer.from(part.bytes)] : []));

async function offsetOfSynced(index: number): Promise<number> {
  const offsets: number[] = [];
  for (const part of logParts(await readFile(ends.log))) {
    if (part.kind !== 'record') continue;
    if (readWriteBatch(part.bytes)?.changes.some(({ key }) => key.startsWith('t!')))
      offsets.push(part.offset);
  }
  return offsets.at(index) as number;
}

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { crc32c } from '../../../services/storage/leveldb/crc32c.ts';
import { parseDatabaseManifest } from '../../../services/storage/leveldb/database-manifest.ts';
import { BLOCK, HEADER, logOf, logParts } from '../../../services/storage/leveldb/log-records.ts';
import { readWriteBatch } from '../../../services/storage/leveldb/write-batch.ts';
import { type Batch, examineFolder, KilledDatabase } from './database.ts';

/** Finds damage that LevelDB itself does not report, in real files of LevelDB. */

const synced = (count: number, size: number, from = 0): Batch[] =>
  Array.from({ length: count }, (_, i) => ({
    sync: true,
    entries: [[`t!repository!tag-${String(from + i).padStart(6, '0')}`, randomBytes(size).toString('hex')]],
  }));
const unsynced = (count: number): Batch[] =>
  Array.from({ length: count }, (_, i) => ({ sync: false, entries: [[`i!upload-${i}`, { touched: i }]] }));

let db: KilledDatabase;
let ends: Record<'log' | 'table' | 'manifest' | 'current', string>;
before(async () => {
  db = await KilledDatabase.make(synced(300, 60), [...synced(120, 400, 500), ...unsynced(3)]);
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
    (folder) => examineFolder(folder, 'unsynced'),
  );

test('an undamaged database has no findings', async () => {
  for (const mayLack of ['nothing', 'unsynced'] as const) {
    assert.deepEqual(await examineFolder(db.folder, mayLack), { empty: false, findings: [], torn: [] });
  }
  assert.deepEqual(await examineFolder(`${db.folder}-none`, 'nothing'), {
    empty: true,
    findings: [],
    torn: [],
  });
});

test('CRC-32C has the values of RFC 3720, B.4', () => {
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from('xx123456789'), 2), 0xe3069283);
});

test('a change of any byte of a log is found', async () => {
  const { length } = await readFile(ends.log);
  for (let at = 0; at < length; at += 397) {
    const { findings } = await db.with(ends.log, flipped(at), (folder) => examineFolder(folder, 'nothing'));
    assert.equal(findings.length, 1, `byte ${at}`);
    assert.match(findings[0]?.what ?? '', /^is damaged at byte \d+, \d+ bytes$/);
    assert.equal(findings[0]?.file, basename(ends.log));
  }
});

test('after a power loss, a change of bytes that were on the disk is found, too', async () => {
  // LevelDB takes a damaged length near the end of the log for its end.
  for (const at of [4, 5, 100, BLOCK + 4, 2 * BLOCK + 100]) {
    const { findings } = await db.with(ends.log, flipped(at), (folder) => examineFolder(folder, 'unsynced'));
    assert.equal(findings.length, 1, `byte ${at}`);
  }
});

test('a change of any byte of a table or of the manifest is found', async () => {
  const table = await readFile(ends.table);
  // The footer has padding that is never read.
  for (let at = 0; at < table.length - 48; at += 131) {
    const { findings } = await db.with(ends.table, flipped(at), (folder) =>
      examineFolder(folder, 'unsynced'),
    );
    assert.equal(findings.length, 1, `byte ${at}`);
  }
  const manifest = await readFile(ends.manifest);
  for (let at = 0; at < manifest.length; at += 1) {
    const { findings } = await db.with(ends.manifest, flipped(at), (folder) =>
      examineFolder(folder, 'nothing'),
    );
    assert.ok(findings.length > 0, `byte ${at} of ${manifest.length}`);
  }
});

/** Offset of the last record. */
const lastOf = (file: Buffer): number => [...logParts(file)].at(-1)?.offset ?? 0;

test('a last record that exceeds the file only by a changed length is damaged, not cut off', async () => {
  for (const file of [ends.log, ends.manifest]) {
    const last = lastOf(await readFile(file));
    for (const at of [last + 4, last + 5]) {
      for (const mayLack of ['nothing', 'unsynced'] as const) {
        const { findings, torn } = await db.with(file, flipped(at), (folder) =>
          examineFolder(folder, mayLack),
        );
        assert.match(findings[0]?.what ?? '', /^is damaged/, `byte ${at} of ${basename(file)}`);
        assert.deepEqual([findings.length, torn], [1, []]);
      }
    }
  }
});

test('a manifest that is cut off is damaged if files that it names, or fields that it needs, are missing', async () => {
  const manifest = await readFile(ends.manifest);
  for (let end = lastOf(manifest) + 1; end < manifest.length; end += 1) {
    const cut = (bytes: Buffer) => bytes.subarray(0, end);
    const { findings } = await db.with(ends.manifest, cut, (folder) => examineFolder(folder, 'nothing'));
    assert.match(findings[0]?.file ?? '', /^MANIFEST/, `${end} of ${manifest.length} bytes`);
  }
});

test('missing files are named', async () => {
  for (const path of Object.values(ends)) {
    const { findings } = await without(path);
    assert.deepEqual(findings, [{ file: basename(path), what: 'is missing' }]);
  }
  const odd = await db.with(
    ends.current,
    () => Buffer.from('MANIFEST-'),
    (folder) => examineFolder(folder, 'nothing'),
  );
  assert.deepEqual(odd.findings, [{ file: 'CURRENT', what: 'is damaged' }]);
  const short = await db.with(
    ends.table,
    (bytes) => bytes.subarray(0, -10),
    (folder) => examineFolder(folder, 'nothing'),
  );
  assert.match(short.findings[0]?.what ?? '', /^has \d+ bytes instead of \d+$/);
});

test('a log may end at any byte: its writer was killed there', async () => {
  const { length } = await readFile(ends.log);
  for (let end = length; end > 0; end -= 613) {
    for (const mayLack of ['nothing', 'unsynced'] as const) {
      const { findings } = await db.with(
        ends.log,
        (log) => log.subarray(0, end),
        (folder) => examineFolder(folder, mayLack),
      );
      assert.deepEqual(findings, [], `${end} of ${length}`);
    }
  }
});

const tails: [name: string, tail: (rest: Buffer) => Buffer][] = [
  ['zeros', (rest) => Buffer.alloc(rest.length)],
  // After the header: a killed writer leaves a length that exceeds the end.
  ['garbage', (rest) => Buffer.concat([rest.subarray(0, HEADER), randomBytes(rest.length - HEADER)])],
  [
    'a page that was written and an earlier one that was not',
    (rest) => Buffer.concat([Buffer.alloc(10), rest.subarray(10)]),
  ],
];
for (const [name, tail] of tails) {
  test(`a torn end of a log, ${name}, is no damage after a power loss; without a power loss it is`, async () => {
    // From the last synced record on: it was in flight.
    const from = await offsetOfSynced(-1);
    const torn = (log: Buffer) => Buffer.concat([log.subarray(0, from), tail(log.subarray(from))]);
    const afterPowerLoss = await db.with(ends.log, torn, (folder) => examineFolder(folder, 'unsynced'));
    assert.deepEqual(afterPowerLoss, { empty: false, findings: [], torn: [basename(ends.log)] });
    const withoutPowerLoss = await db.with(ends.log, torn, (folder) => examineFolder(folder, 'nothing'));
    assert.equal(withoutPowerLoss.findings.length, 1);
  });
}

test('a block of zeros among the records of a log is found', async () => {
  const zeros = (log: Buffer) =>
    Buffer.concat([log.subarray(0, BLOCK), Buffer.alloc(BLOCK), log.subarray(2 * BLOCK)]);
  for (const mayLack of ['nothing', 'unsynced'] as const) {
    const { findings } = await db.with(ends.log, zeros, (folder) => examineFolder(folder, mayLack));
    assert.ok(findings.length > 0);
  }
});

test('a log that lacks its beginning or some records is found by the sequence of its records', async () => {
  const records = recordsOf(await readFile(ends.log));
  const lacking = [records.slice(2), [...records.slice(0, 50), ...records.slice(52)]];
  for (const some of lacking) {
    const { findings } = await db.with(
      ends.log,
      () => logOf(some),
      (folder) => examineFolder(folder, 'unsynced'),
    );
    assert.match(findings[0]?.what ?? '', /^lacks records at byte \d+$/);
  }
});

test('a log that is followed by another one may lack records at its end only after a power loss', async () => {
  const records = recordsOf(await readFile(ends.log));
  const next = (readWriteBatch(records.at(-1) as Buffer)?.sequence ?? 0) + 1;
  const later = records.slice(0, 3).map((record, index) => {
    const copy = Buffer.from(record);
    copy.writeBigUInt64LE(BigInt(next + index));
    return copy;
  });
  // The last records are from unsynced batches.
  const lacking = () => logOf(records.slice(0, -3));
  for (const [mayLack, found] of [
    ['unsynced', []],
    ['nothing', ['lacks records at byte 0']],
  ] as const) {
    const { findings } = await db.with(ends.log, lacking, (folder) =>
      withFile(join(folder, '009999.log'), logOf(later), () => examineFolder(folder, mayLack)),
    );
    assert.deepEqual(
      findings.map(({ what }) => what),
      found,
    );
  }
});

test('if the writer is killed after it created the next log, the previous log may still be cut off', async () => {
  const torn = (log: Buffer) => log.subarray(0, -5);
  const { findings } = await db.with(ends.log, torn, (folder) =>
    withFile(join(folder, '009999.log'), Buffer.alloc(0), () => examineFolder(folder, 'nothing')),
  );
  assert.deepEqual(findings, []);
});

test('a log that is written again has the same records', async () => {
  const records = recordsOf(await readFile(ends.log));
  assert.equal(records.length, 123);
  assert.deepEqual(recordsOf(logOf(records)), records);
  const sizes = [0, 1, BLOCK - 8, BLOCK - 7, BLOCK - 6, 3 * BLOCK, 5, BLOCK - 20];
  const odd = sizes.map((size) => randomBytes(size));
  assert.deepEqual(recordsOf(logOf(odd)), odd);
});

test('the manifest names the tables with their key ranges', async () => {
  const manifest = parseDatabaseManifest(await readFile(ends.manifest));
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

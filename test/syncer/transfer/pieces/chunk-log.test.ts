import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, open, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { type Chunk, decodeLog, MAX_CHUNK } from '#proto/volume/chunk-log.ts';
import { Volume } from '#proto/volume/volume.ts';
import { ChunkLog } from '../../../../services/syncer/transfer/pieces/chunk-log.ts';

const folder = await mkdtemp(join(tmpdir(), 'terrace-log-'));
after(() => rm(folder, { recursive: true, force: true }));
let count = 0;

/** An ingest's folder with a log of three chunks. */
async function writeLog() {
  count += 1;
  const path = join(folder, String(count));
  await mkdir(path);
  const volume = new Volume(folder);
  const claim = { id: 'x', claim: 'c', path: String(count), offset: 0 };
  const content = randomBytes(3_000_000);
  const chunks = [
    [0, 1_000_000],
    [2_000_000, 3_000_000],
    [1_000_000, 1_500_000],
  ].map(([start, end]) => ({ start: start!, end: end!, crc: crc32(content.subarray(start, end)) }));
  {
    await using file = await volume.openIngest(claim);
    await using log = await ChunkLog.open(await volume.openLog(claim));
    for (const chunk of chunks) {
      await file.write([content.subarray(chunk.start, chunk.end)], chunk.start);
      await log.append(chunk);
    }
  }
  return { volume, claim, chunks, content, log: join(path, 'chunks'), data: join(path, 'data') };
}

test('a log is read as it was written', async () => {
  const { volume, claim, chunks } = await writeLog();
  await using log = await ChunkLog.open(await volume.openLog(claim));
  assert.deepEqual(log.chunks, chunks);
});

test('a torn entry ends the log, and entries that are appended afterwards are read again', async () => {
  const { volume, claim, chunks, log: path } = await writeLog();
  await truncate(path, (await readFile(path)).length - 7);
  {
    await using log = await ChunkLog.open(await volume.openLog(claim));
    assert.deepEqual(log.chunks, chunks.slice(0, 2));
    await log.append(chunks[2]!);
  }
  await using log = await ChunkLog.open(await volume.openLog(claim));
  assert.deepEqual(log.chunks, chunks);
});

test('an entry with a flipped bit ends the log', async () => {
  const { volume, claim, chunks, log: path } = await writeLog();
  const file = await open(path, 'r+');
  await file.write(Buffer.from([0xff]), 0, 1, 8 + 20 + 3);
  await file.close();
  await using log = await ChunkLog.open(await volume.openLog(claim));
  assert.deepEqual(log.chunks, chunks.slice(0, 1));
});

test('a file that is not a chunk log counts as empty', async () => {
  const { volume, claim, log: path } = await writeLog();
  await truncate(path, 0);
  await appendFile(path, 'something else altogether');
  await using log = await ChunkLog.open(await volume.openLog(claim));
  assert.deepEqual(log.chunks, []);
});

test('verify drops the chunks whose bytes are not the ones that were written, and no others', async () => {
  const { volume, claim, chunks, data } = await writeLog();
  const file = await open(data, 'r+');
  await file.write(Buffer.from([1, 2, 3]), 0, 3, 2_500_000);
  await file.close();
  {
    await using bytes = await volume.openIngest(claim);
    await using log = await ChunkLog.open(await volume.openLog(claim));
    assert.equal(await log.verify(bytes), 1_000_000);
    assert.deepEqual(log.chunks, [chunks[0], chunks[2]]);
  }
  await using log = await ChunkLog.open(await volume.openLog(claim));
  assert.deepEqual(log.chunks, [chunks[0], chunks[2]]);
});

test('verify drops chunks beyond the end of a truncated file', async () => {
  const { volume, claim, chunks, data } = await writeLog();
  await truncate(data, 1_600_000);
  await using bytes = await volume.openIngest(claim);
  await using log = await ChunkLog.open(await volume.openLog(claim));
  assert.equal(await log.verify(bytes), 1_000_000);
  assert.deepEqual(log.chunks, [chunks[0], chunks[2]]);
});

test('a log says what crossed the link, what was made here, and what crossed all the same', async () => {
  const { volume, claim, chunks } = await writeLog();
  const made: Chunk[] = [
    { start: 1_500_000, end: 1_800_000, crc: 0xffffffff, by: 'frames' },
    { start: 1_800_000, end: 1_800_000 + MAX_CHUNK, crc: 0, by: 'delta' },
  ];
  {
    await using log = await ChunkLog.open(await volume.openLog(claim));
    await log.addRepeated(7_000);
    await log.appendAll(made);
    await log.addRepeated(500);
  }
  {
    await using log = await ChunkLog.open(await volume.openLog(claim));
    assert.deepEqual(log.chunks, [...chunks, ...made]);
    assert.deepEqual(log.origins, { link: 2_500_000, frames: 300_000, delta: MAX_CHUNK });
    assert.equal(log.repeated, 7_500);
    await log.replace([...chunks, ...made.slice(0, 1)]);
  }
  {
    await using log = await ChunkLog.open(await volume.openLog(claim));
    assert.deepEqual([log.origins.frames, log.repeated], [300_000, 7_500]);
    await log.dropMade();
  }
  await using log = await ChunkLog.open(await volume.openLog(claim));
  assert.deepEqual([log.chunks, log.repeated], [chunks, 0]);
});

test('a log of before there were other origins is read', () => {
  // One entry of 5 bytes at 3, with the checksum 7.
  const entry = Buffer.from('00000000000000030000000500000007', 'hex');
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(entry));
  const decoded = decodeLog(Buffer.concat([Buffer.from('TERCHK01'), entry, sum]));
  assert.deepEqual(decoded, { chunks: [{ start: 3, end: 8, crc: 7 }], repeated: 0, good: 28 });
});

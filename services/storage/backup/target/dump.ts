import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { Fault } from '#proto/contract/fault.ts';
import { kinds, prefix } from '../../metadata/keys.ts';
import type { BlobRecord } from '../../metadata/records.ts';
import type { DumpFacts } from './backup-format.ts';
import type { Content } from './copy-content.ts';
import type { Place } from './direct-read.ts';

/*
 * The metadata in a backup: lines of JSON, compressed by zstd, with its checksums. Any zstd tool shows them.
 *
 *   ["<key>",<value>]             a record, in the order of keys
 *   {"file":"<path>","base64":…}  a small file of the data volume
 *   {"records":<count>}           the last line
 */
export type DumpLine = [key: string, value: unknown] | { file: string; base64: string } | { records: number };

/** Characters that are compressed at a time. */
const PIECE = 64 * 1024;
/** Max characters of a line: more than any record has. */
const MAX_LINE = 16 * 1024 * 1024;

/**
 * Writes records and files; synced when it resolves.
 * @param records `[key, JSON of the value]`, in the order of keys
 * @param start where in the file
 */
export async function writeDump(
  { path, start = 0 }: { path: string; start?: number },
  records: AsyncIterable<[key: string, json: string]>,
  files: readonly { file: string; bytes: Uint8Array }[],
): Promise<DumpFacts> {
  const sum = createHash('sha256');
  let bytes = 0;
  let count = 0;
  async function* lines() {
    let piece = '';
    for await (const [key, json] of records) {
      count += 1;
      piece += `[${JSON.stringify(key)},${json}]\n`;
      if (piece.length < PIECE) continue;
      yield piece;
      piece = '';
    }
    for (const { file, bytes: content } of files)
      piece += `${JSON.stringify({ file, base64: Buffer.from(content).toString('base64') })}\n`;
    yield `${piece}${JSON.stringify({ records: count })}\n`;
  }
  const counting = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sum.update(chunk);
      bytes += chunk.byteLength;
      done(null, chunk);
    },
  });
  const zstd = createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const flags = start > 0 ? 'r+' : 'w';
  const file = createWriteStream(path, { flags, start, mode: 0o600, flush: true });
  await pipeline(Readable.from(lines()), zstd, counting, file);
  return { bytes, sha256: sum.digest('hex'), records: count };
}

/**
 * Reads a dump. What it yields counts only once it has ended without an error: the checksum of all of it is compared
 * last.
 * @throws Fault `malformed` if it is not as it was written
 */
export async function* readDump(place: Place, expected: DumpFacts): AsyncGenerator<DumpLine> {
  const damaged = (cause?: unknown) =>
    new Fault('malformed', 'the metadata of the backup are damaged: use another backup', { cause });
  if (expected.bytes === 0 || place.size < expected.bytes) throw damaged();
  const sum = createHash('sha256');
  const { path, offset } = place;
  const source = createReadStream(path, { start: offset, end: offset + expected.bytes - 1 });
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sum.update(chunk);
      done(null, chunk);
    },
  });
  const plain = createZstdDecompress();
  const flow = pipeline(source, hashing, plain);
  flow.catch(() => {});
  let records: number | undefined;
  let count = 0;
  try {
    for await (const line of linesOf(plain)) {
      const parsed = JSON.parse(line) as DumpLine;
      if (Array.isArray(parsed)) count += 1;
      else if ('records' in parsed) records = parsed.records;
      yield parsed;
    }
    await flow;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (error instanceof SyntaxError || code.startsWith('ZSTD') || code === 'ERR_BUFFER_TOO_LARGE')
      throw damaged(error);
    throw error;
  } finally {
    source.destroy();
  }
  if (sum.digest('hex') !== expected.sha256 || count !== expected.records || records !== count)
    throw damaged();
}

async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const line = chunk.subarray(from, at);
      yield (rest.length > 0 ? Buffer.concat([...rest, line]) : line).toString('utf8');
      rest = [];
      size = 0;
      from = at + 1;
    }
    if (from === chunk.byteLength) continue;
    rest.push(chunk.subarray(from));
    size += chunk.byteLength - from;
    if (size > MAX_LINE) throw new SyntaxError('a line is too long');
  }
  if (size > 0) throw new SyntaxError('the last line is incomplete');
}

/** The content that a record of a dump stands for; undefined for all other lines. */
export function contentOf(line: unknown): Content | undefined {
  if (!Array.isArray(line)) return undefined;
  const [key, value] = line as [string, unknown];
  return key.startsWith(prefix(kinds.blob))
    ? { digest: key.slice(2), size: (value as BlobRecord).size }
    : undefined;
}

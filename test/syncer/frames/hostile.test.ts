import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { readSegments } from '../../../services/syncer/frames/read-toc.ts';

const MIB = 1024 * 1024;
const END = 1_000_000_000;

/** Reads the table of a layer that somebody may have written with ill will. */
function read(toc: Buffer, signal = new AbortController().signal) {
  const layer = {
    read: async (buffer: Uint8Array, at: number) => toc.copy(buffer, 0, at, at + buffer.byteLength),
  };
  return readSegments(layer, { compression: 'zstd', toc: { start: 0, end: toc.length }, end: END }, signal);
}

const table = (...entries: string[]) => zstdCompressSync(`{"version":1,"entries":[${entries.join(',')}]}`);
const repeated = (entry: (index: number) => string, count: number) =>
  table(Array.from({ length: count }, (_, index) => entry(index)).join(','));
const digest = `sha256:${'a'.repeat(64)}`;

test('a table that expands without end is given up, within its memory', async () => {
  const before = process.memoryUsage.rss();
  const part = Buffer.alloc(34 * MIB, ' ');
  const bomb = zstdCompressSync(Buffer.concat([Buffer.from('{"entries":['), ...Array(5).fill(part)]));
  assert.ok(bomb.length < MIB);
  const built = process.memoryUsage.rss();
  await assert.rejects(read(bomb), /too large/);
  const grown = process.memoryUsage.rss() - built;
  assert.ok(grown < 100 * MIB, `${grown} bytes, after ${built - before} for the table itself`);
});

test('a table with too many files, or with an odd one, is given up', async () => {
  const file = (fields: object) => JSON.stringify({ type: 'reg', name: 'a', digest, ...fields });
  const many = repeated((index) => file({ offset: index + 1 }), 400_002);
  await assert.rejects(read(many), /too many files/);
  const odd: [string, RegExp][] = [
    [file({ offset: -1 }), /no valid offset/],
    [file({ offset: 1.5 }), /no valid offset/],
    [file({ offset: '1' }), /no valid offset/],
    [file({ offset: 2 ** 60 }), /no valid offset/],
    [file({ offset: END + 1 }), /not in order/],
    [file({ offset: 5, endOffset: 4 }), /not in order/],
    [file({ offset: 5, size: -1 }), /no valid size/],
    ['{"type":"reg"', /^$/],
    ['[1]', /^$/],
  ];
  for (const [entry, message] of odd) {
    const reading = read(table(file({ offset: 1 }), entry));
    if (message.source === '^$')
      await reading.catch(({ message }) => assert.match(message, /table of contents/));
    else await assert.rejects(reading, message, entry);
  }
  await assert.rejects(read(table(file({ offset: 9 }), file({ offset: 8 }))), /not in order/);
  await assert.rejects(read(Buffer.from('not compressed at all')), /can not be decompressed/);
  await assert.rejects(read(table(file({})).subarray(0, 40)), /can not be decompressed/);
});

test('an entry without content, and one with fields that nobody knows, are read', async () => {
  const { starts, end } = await read(
    table(
      JSON.stringify({ type: 'dir', name: 'd', future: { a: [1, { b: 2 }] } }),
      JSON.stringify({ type: 'reg', name: 'empty', digest }),
      JSON.stringify({ type: 'reg', name: 'full', digest, size: 3, offset: 100, endOffset: 200 }),
    ),
  );
  assert.deepEqual([starts, end], [[0, 100, 200], END]);
});

test('reading ends when the transfer does', async () => {
  const stop = new AbortController();
  stop.abort(new Error('the window closed'));
  const many = repeated(() => JSON.stringify({ type: 'dir', name: 'd' }), 50_000);
  await assert.rejects(read(many, stop.signal), /the window closed/);
});

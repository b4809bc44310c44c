import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { LogFile } from '../../../cli/layer/layer-log.ts';
import { type LogPart, readLog } from '../../../cli/logs/log-files.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrace-logs-'));
  path = join(folder, 'terrace.log');
});
afterEach(() => rmSync(folder, { recursive: true }));

const textOf = (part: LogPart) => (typeof part === 'string' ? `<${part}>` : part.line);

async function read(): Promise<string[]> {
  const parts: string[] = [];
  for await (const part of readLog(path, { signal: new AbortController().signal })) parts.push(textOf(part));
  return parts;
}

/** Follows the log, and resolves with the next parts. */
function follow() {
  const end = new AbortController();
  const parts = readLog(path, { follow: true, signal: end.signal, pollMs: 5 });
  return {
    async next(count: number): Promise<string[]> {
      const next: string[] = [];
      while (next.length < count) {
        const { value, done } = await parts.next();
        if (done) break;
        next.push(textOf(value));
      }
      return next;
    },
    async [Symbol.asyncDispose]() {
      end.abort();
      await parts.return(undefined);
    },
  };
}

test('the rotated file is read first, and an unfinished line is one, too', async () => {
  writeFileSync(`${path}.1`, 'one\ntwo\n');
  writeFileSync(path, 'three\n\nfo\u00fcr');
  assert.deepEqual(await read(), ['one', 'two', 'three', 'fo\u00fcr', '<end>']);
});

test('without a log the error has the code of the file system', async () => {
  await assert.rejects(read(), { code: 'ENOENT' });
});

test('of a line of any length the beginning is kept, and the lines after it', async () => {
  writeFileSync(path, `${'x'.repeat(5_000_000)}\nnext\n`);
  const [long = '', ...others] = await read();
  assert.ok(long.length > 256 * 1024 && long.length < 400_000, String(long.length));
  assert.deepEqual(others, ['next', '<end>']);
});

test('appended lines are followed, also one that is written in two steps', async () => {
  writeFileSync(path, 'one\nhal');
  await using log = follow();
  assert.deepEqual(await log.next(2), ['one', '<end>']);
  appendFileSync(path, 'f\ntwo\n');
  assert.deepEqual(await log.next(2), ['half', 'two']);
});

test('a log is followed from before it exists', async () => {
  await using log = follow();
  assert.deepEqual(await log.next(1), ['<end>']);
  writeFileSync(path, 'first\n');
  assert.deepEqual(await log.next(1), ['first']);
});

test('no line is lost while the log is rotated again and again', async () => {
  using writer = new LogFile(path, 2_000);
  writer.write('line 0');
  await using log = follow();
  assert.deepEqual(await log.next(2), ['line 0', '<end>']);
  for (let number = 1; number <= 2_000; number += 20) {
    // Less than one rotation at a time: a reader that is slower than two misses lines, and says so.
    const lines = Array.from({ length: 20 }, (_, index) => `line ${number + index}`);
    for (const line of lines) writer.write(line);
    assert.deepEqual(await log.next(20), lines);
  }
});

test('lines that were rotated away unread are reported', async () => {
  writeFileSync(path, 'one\n');
  await using log = follow();
  assert.deepEqual(await log.next(2), ['one', '<end>']);
  appendFileSync(path, 'two\n');
  writeFileSync(join(folder, 'other'), 'lost\n');
  renameSync(path, join(folder, 'first'));
  renameSync(join(folder, 'other'), `${path}.1`);
  writeFileSync(path, 'three\n');
  assert.deepEqual(await log.next(3), ['two', '<gap>', 'three']);
});

test('a log that is emptied in place is read from its beginning', async () => {
  writeFileSync(path, 'one\ntwo\n');
  await using log = follow();
  assert.deepEqual(await log.next(3), ['one', 'two', '<end>']);
  truncateSync(path);
  appendFileSync(path, 'new\n');
  assert.deepEqual(await log.next(1), ['new']);
});

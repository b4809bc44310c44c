import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AuditFile } from '../../../services/storage/audit/audit-file.ts';
import { readLine } from '../../../services/storage/audit/audit-line.ts';
import type { LogPosition } from '../../../services/storage/syslog/log-position.ts';
import { AuditLogReader } from '../../../services/storage/syslog/log-reader.ts';

/** Reading the audit log from a position on, while it is written, rotated, and changed by others. */

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-reader-'));
});
after(() => rm(folder, { recursive: true }));

let files = 0;
const newPath = () => join(folder, `${files++}`, 'audit.log');
const time = new Date(0).toISOString();
const makeLine = (length: number) => (id: string) => JSON.stringify({ time, id, x: 'x'.repeat(length) });

async function add(log: AuditFile, count: number, length = 10): Promise<void> {
  for (let n = 0; n < count; n += 1) await log.append([makeLine(length)], false);
}

/** Everything from the position on. */
async function read(log: AuditFile, position?: LogPosition) {
  await using reader = new AuditLogReader(log, position);
  return await drain(reader);
}

async function drain(reader: AuditLogReader) {
  const numbers: number[] = [];
  let lost = 0;
  let position: LogPosition | undefined;
  for (let batch = await reader.next(); batch; batch = await reader.next()) {
    for (const line of batch.lines) numbers.push(Number(readLine(line).id.split('-')[0]));
    lost += batch.lost?.count ?? 0;
    position = batch.position;
  }
  return { numbers, lost, position };
}
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

test('reading continues at a position over renamed files, and numbers continue over starts', async () => {
  const path = newPath();
  const log = new AuditFile(path, 1_000);
  await add(log, 30);
  const first = await read(log);
  assert.deepEqual(first.numbers, range(1, 30));
  await add(log, 30);
  await log[Symbol.asyncDispose]();
  await using next = new AuditFile(path, 1_000);
  await add(next, 5);
  assert.deepEqual(await read(next, first.position).then(({ numbers, lost }) => [numbers, lost]), [
    range(31, 65),
    0,
  ]);
});

test('a reader follows the log while it is rotated, and counts what was deleted unread', async () => {
  await using log = new AuditFile(newPath(), 1_000);
  await add(log, 5);
  await using reader = new AuditLogReader(log, undefined);
  const seen = await drain(reader);
  for (let round = 0; round < 20; round += 1) {
    await add(log, 7);
    seen.numbers.push(...(await drain(reader)).numbers);
  }
  assert.deepEqual(seen.numbers, range(1, 145));
  // The file that is being read is deleted: what is left of it is read, the ones after it are lost.
  await add(log, 400);
  const { numbers, lost, position } = await drain(reader);
  assert.ok(lost > 0);
  assert.equal(numbers.length + lost, 400);
  assert.equal(numbers.at(-1), 545);
  const again = await read(log, seen.position);
  assert.equal(again.numbers.length + again.lost, 540);
  assert.equal(position?.number, 545);
});

test('long lines, lines that a crash cut off and lines of earlier versions are read', async () => {
  const path = newPath();
  {
    await using log = new AuditFile(path);
    await add(log, 2, 300_000);
  }
  await appendFile(path, '{"time":"cut');
  await using log = new AuditFile(path);
  await add(log, 1, 2_000_000);
  const lines: string[] = [];
  await using reader = new AuditLogReader(log, undefined);
  for (let batch = await reader.next(); batch; batch = await reader.next()) lines.push(...batch.lines);
  assert.deepEqual(
    lines.map(({ length }) => length > 250_000),
    [true, true, false, true, true],
  );
  const old = newPath();
  await using other = new AuditFile(old, 1_000);
  await add(other, 1);
  const text = await readFile(old, 'utf8');
  await writeFile(old, '{"time":"1970","action":"a"}\n'.repeat(20));
  await using upgraded = new AuditFile(old, 1_000);
  await add(upgraded, 3);
  assert.ok(text.includes('"id":"1-'));
  const { numbers, lost } = await read(upgraded);
  assert.deepEqual([numbers.length, numbers.slice(20), lost], [23, [1, 2, 3], 0]);
});

test('entries that took the place of others after a power cut are read, with ids of their own', async () => {
  const path = newPath();
  const log = new AuditFile(path);
  await add(log, 10);
  const { position } = await read(log);
  const ids = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => readLine(line).id);
  const before = ids(await readFile(path, 'utf8'));
  await log[Symbol.asyncDispose]();
  await truncate(path, Math.floor(((position?.offset ?? 0) * 7.5) / 10));
  await using next = new AuditFile(path);
  await add(next, 10);
  const { numbers } = await read(next, position);
  // The one that was cut in two has no number.
  assert.deepEqual(
    numbers.filter((number) => !Number.isNaN(number)),
    range(1, 17),
  );
  const now = ids(await readFile(path, 'utf8'));
  assert.ok(now.slice(-10).every((id) => !before.includes(id)));
});

test('an empty log has nothing, and a log that begins again is read from its beginning', async () => {
  const path = newPath();
  await using log = new AuditFile(path);
  assert.deepEqual(await read(log), { numbers: [], lost: 0, position: undefined });
  await add(log, 10);
  const { position } = await read(log);
  await log[Symbol.asyncDispose]();
  await rm(path);
  await using next = new AuditFile(path);
  await add(next, 3);
  assert.deepEqual(await read(next, position).then(({ numbers, lost }) => [numbers, lost]), [range(1, 3), 0]);
});

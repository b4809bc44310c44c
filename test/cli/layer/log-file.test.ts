import { deepEqual, equal } from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { LogFile } from '../../../cli/layer/layer-log.ts';

const MAX_BYTES = 40;
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrace-log-'));
  path = join(folder, 'terrace.log');
});
afterEach(() => rmSync(folder, { recursive: true }));

const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n');
const line = (number: number) => `line ${number} of the log`;

test('a log that reaches its max size is rotated, and the previous one stays', () => {
  using log = new LogFile(path, MAX_BYTES);
  for (let number = 1; number <= 5; number += 1) log.write(line(number));
  deepEqual(lines(`${path}.1`), [1, 2, 3].map(line));
  deepEqual(lines(path), [4, 5].map(line));
});

test('a log that was deleted is created again, and no other file is closed', () => {
  using log = new LogFile(path, MAX_BYTES);
  for (let number = 1; number <= 3; number += 1) log.write(line(number));
  rmSync(path);
  log.write(line(4));
  // A file that is opened now may get the descriptor that the log had.
  const other = openSync(join(folder, 'other'), 'w');
  for (let number = 5; number <= 9; number += 1) log.write(line(number));
  equal(writeSync(other, 'still open'), 10);
  closeSync(other);
  deepEqual(lines(path).at(-1), line(9));
});

test('a log that cannot be renamed is emptied, and stays within its max size', () => {
  using log = new LogFile(path, MAX_BYTES);
  mkdirSync(join(`${path}.1`, 'in-the-way'), { recursive: true });
  for (let number = 1; number <= 9; number += 1) log.write(line(number));
  deepEqual(readdirSync(folder).sort(), ['terrace.log', 'terrace.log.1']);
  deepEqual(lines(path), [7, 8, 9].map(line));
});

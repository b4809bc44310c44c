import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileSource } from '../../../services/twin-bridge/source/file-source.ts';
import type { SourceState } from '../../../services/twin-bridge/source/source.ts';
import { until } from '../../support/until.ts';

/** A file being watched; `next` is what it was found to be, one after another. */
async function watched(pollMs?: number) {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-source-'));
  const path = join(folder, 'terrace.yaml');
  const found: SourceState[] = [];
  let read = 0;
  let watching: Disposable | undefined;
  return {
    path,
    start: () => {
      watching = fileSource(path, pollMs).watch((one) => void found.push(one));
    },
    next: async () => {
      await until(() => found.length > read);
      read += 1;
      return found[read - 1];
    },
    rest: () => found.slice(read),
    [Symbol.asyncDispose]: async () => {
      watching?.[Symbol.dispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
const text = (found: SourceState | undefined) => (found && 'text' in found ? found.text : undefined);
const complaint = (found: SourceState | undefined) =>
  found && 'complaint' in found ? found.complaint : undefined;

test('a file is read at once, when it is written to, and when another takes its place', async () => {
  // Only the watch may tell.
  await using source = await watched(3_600_000);
  await writeFile(source.path, 'one');
  source.start();
  assert.equal(text(await source.next()), 'one');
  await writeFile(source.path, 'two');
  assert.equal(text(await source.next()), 'two');
  await writeFile(`${source.path}.new`, 'three');
  await rename(`${source.path}.new`, source.path);
  assert.equal(text(await source.next()), 'three');
  // The file of before is not followed.
  await writeFile(source.path, 'four');
  assert.equal(text(await source.next()), 'four');
});

test('a file that is emptied, or half written, puts nothing else in force', async () => {
  await using source = await watched(3_600_000);
  await writeFile(source.path, 'mode: ReadOnly');
  source.start();
  assert.equal(text(await source.next()), 'mode: ReadOnly');
  // Within the time in which an editor writes.
  await writeFile(source.path, 'mo');
  await writeFile(source.path, 'mode: ReadWrite');
  assert.equal(text(await source.next()), 'mode: ReadWrite');
  await writeFile(source.path, '\n');
  assert.match(complaint(await source.next()) ?? '', /terrace\.yaml is empty: write its fields into it/);
  await writeFile(source.path, 'mode: ReadWrite');
  assert.equal(text(await source.next()), 'mode: ReadWrite');
  assert.deepEqual(source.rest(), []);
});

test('a file that is not there is a complaint until it comes', async () => {
  await using source = await watched(3_600_000);
  source.start();
  assert.match(complaint(await source.next()) ?? '', /terrace\.yaml does not exist: create it/);
  await writeFile(source.path, 'here');
  assert.equal(text(await source.next()), 'here');
  await rm(source.path);
  assert.match(complaint(await source.next()) ?? '', /does not exist/);
});

test('where the file system tells of no change, a look now and then finds it, and the same text is not told twice', async () => {
  await using source = await watched(10);
  await rm(join(source.path, '..'), { recursive: true });
  // There is no folder to watch: only the look is left.
  source.start();
  assert.match(complaint(await source.next()) ?? '', /does not exist/);
  const { mkdir } = await import('node:fs/promises');
  await mkdir(join(source.path, '..'));
  await writeFile(`${source.path}.new`, 'late');
  await rename(`${source.path}.new`, source.path);
  assert.equal(text(await source.next()), 'late');
  await writeFile(`${source.path}.new`, 'later');
  await rename(`${source.path}.new`, source.path);
  assert.equal(text(await source.next()), 'later');
  assert.deepEqual(source.rest(), []);
});

import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileSource } from '../../../services/twin-bridge/source/file-source.ts';
import type { SourceState } from '../../../services/twin-bridge/source/source.ts';
import { until } from '../../support/until.ts';

/** A watched file. `next` returns the states that the source passed on, one after another. */
async function watchFile(pollMs?: number) {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-source-'));
  const path = join(folder, 'terrace.yaml');
  const states: SourceState[] = [];
  let read = 0;
  let watching: Disposable | undefined;
  return {
    path,
    start: () => {
      watching = fileSource(path, pollMs).watch((state) => void states.push(state));
    },
    next: async () => {
      await until(() => states.length > read);
      read += 1;
      return states[read - 1];
    },
    rest: () => states.slice(read),
    [Symbol.asyncDispose]: async () => {
      watching?.[Symbol.dispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
const text = (state: SourceState | undefined) => (state && 'text' in state ? state.text : undefined);
const complaint = (state: SourceState | undefined) =>
  state && 'complaint' in state ? state.complaint : undefined;

test('a file is read at the start, after a write and after it is replaced', async () => {
  // No poll in time: only the watch reports changes.
  await using source = await watchFile(3_600_000);
  await writeFile(source.path, 'one');
  source.start();
  assert.equal(text(await source.next()), 'one');
  await writeFile(source.path, 'two');
  assert.equal(text(await source.next()), 'two');
  await writeFile(`${source.path}.new`, 'three');
  await rename(`${source.path}.new`, source.path);
  assert.equal(text(await source.next()), 'three');
  // The watch follows the path, not the replaced file.
  await writeFile(source.path, 'four');
  assert.equal(text(await source.next()), 'four');
});

test('an emptied or half-written file puts no other document in force', async () => {
  await using source = await watchFile(3_600_000);
  await writeFile(source.path, 'mode: ReadOnly');
  source.start();
  assert.equal(text(await source.next()), 'mode: ReadOnly');
  // Two writes within the debounce.
  await writeFile(source.path, 'mo');
  await writeFile(source.path, 'mode: ReadWrite');
  assert.equal(text(await source.next()), 'mode: ReadWrite');
  await writeFile(source.path, '\n');
  assert.match(complaint(await source.next()) ?? '', /terrace\.yaml is empty: write its fields into it/);
  await writeFile(source.path, 'mode: ReadWrite');
  assert.equal(text(await source.next()), 'mode: ReadWrite');
  assert.deepEqual(source.rest(), []);
});

test('a missing file is a complaint until it is created', async () => {
  await using source = await watchFile(3_600_000);
  source.start();
  assert.match(complaint(await source.next()) ?? '', /terrace\.yaml does not exist: create it/);
  await writeFile(source.path, 'here');
  assert.equal(text(await source.next()), 'here');
  await rm(source.path);
  assert.match(complaint(await source.next()) ?? '', /does not exist/);
});

test('without file system events, a poll finds changes, and an equal text is not passed on twice', async () => {
  await using source = await watchFile(10);
  await rm(join(source.path, '..'), { recursive: true });
  // There is no folder to watch: only the poll is left.
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

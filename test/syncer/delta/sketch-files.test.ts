import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FileSketch } from '../../../services/syncer/delta/choice/sketch.ts';
import { openSketches } from '../../../services/syncer/delta/jobs/sketch-folder.ts';
import { SketchFiles } from '../../../services/syncer/delta/worker/sketch-files.ts';

const data = await mkdtemp(join(tmpdir(), 'terrace-sketches-'));
after(() => rm(data, { recursive: true }));

const digestOf = (letter: string) => `sha256:${letter.repeat(64)}`;

function sketchOf(path: string) {
  const sketch = new FileSketch();
  sketch.add(path, 1_000);
  return sketch.end();
}

test('a sketch is read as it was kept; a file that is damaged or of another format is as none', async () => {
  const folder = await openSketches(data);
  const files = new SketchFiles(folder);
  const digest = digestOf('a');
  const path = join(folder, digest.replace(':', '-'));
  assert.equal(files.get(digest), undefined);
  files.keep(digest, sketchOf('etc/a'));
  assert.deepEqual(new SketchFiles(folder).get(digest), sketchOf('etc/a'));
  const bytes = await readFile(path);
  for (const at of [0, 12, bytes.length - 1]) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] as number) ^ 1;
    await writeFile(path, damaged);
    assert.equal(files.get(digest), undefined);
  }
  for (const length of [bytes.length - 8, 3, 0]) {
    await truncate(path, length);
    assert.equal(files.get(digest), undefined);
  }
  files.keep(digest, sketchOf('etc/b'));
  assert.deepEqual(files.get(digest), sketchOf('etc/b'));
});

test('without space nothing is kept, and that is no failure', async () => {
  const folder = await openSketches(data);
  const full = new SketchFiles(folder, () => {
    throw new Error('no space');
  });
  full.keep(digestOf('f'), sketchOf('etc/f'));
  assert.equal(full.get(digestOf('f')), undefined);
  const missing = new SketchFiles(join(data, 'missing'));
  missing.keep(digestOf('f'), sketchOf('etc/f'));
  assert.equal(missing.get(digestOf('f')), undefined);
});

test('the sketches that were not used for the longest time are deleted first', async () => {
  const folder = await openSketches(data);
  const files = new SketchFiles(folder);
  const digests = ['a', 'b', 'c', 'd'].map(digestOf);
  for (const [index, digest] of digests.entries()) {
    files.keep(digest, sketchOf(digest));
    await utimes(join(folder, digest.replace(':', '-')), 1_000 + index, 1_000 + index);
  }
  files.get(digestOf('a'));
  await openSketches(data, 4);
  assert.equal((await readdir(folder)).length, 4);
  await openSketches(data, 2);
  const kept = (await readdir(folder)).sort();
  assert.deepEqual(
    kept,
    ['a', 'd'].map((letter) => digestOf(letter).replace(':', '-')),
  );
});

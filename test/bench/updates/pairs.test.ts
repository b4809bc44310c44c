import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { linkLayout } from '../../../bench/updates/layout.ts';
import { blobIn, bytesOf, changedLayers, pairsIn, repositoryOf } from '../../../bench/updates/pairs.ts';
import { rowsOf } from '../../../bench/updates/table.ts';
import { digestOf } from '../../support/registry/content.ts';
import type { Pushed } from '../../support/registry/registry.ts';
import { layersOf, pairOf } from './pair-rig.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-pairs-'));
});
after(() => rm(folder, { recursive: true, force: true }));

/** Puts a blob where a docker-registry has it. */
async function inRegistry(bytes: Buffer): Promise<{ digest: string; size: number }> {
  const digest = digestOf(bytes);
  const hash = digest.slice('sha256:'.length);
  const path = join(folder, 'content/docker/registry/v2/blobs/sha256', hash.slice(0, 2), hash, 'data');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return { digest, size: bytes.length };
}

async function pushed(...layers: string[]): Promise<Pushed> {
  const document = {
    config: { mediaType: 'config', ...(await inRegistry(Buffer.from('{}'))) },
    layers: await Promise.all(
      layers.map(async (text) => ({ mediaType: 'layer', ...(await inRegistry(Buffer.from(text))) })),
    ),
  };
  const bytes = Buffer.from(JSON.stringify(document));
  return { mediaType: 'image', ...(await inRegistry(bytes)), bytes };
}

const place = (...names: string[]) => join(folder, 'pairs', ...names);

test('the layouts that were linked are read as pairs, and one of which an image is missing is left out', async () => {
  const content = join(folder, 'content');
  const [v1, v2] = [await pushed('base', 'old'), await pushed('base', 'new', 'new')];
  await linkLayout(content, v1, place('node', 'docker', 'v1'));
  await linkLayout(content, v2, place('node', 'docker', 'v2'));
  await linkLayout(content, v1, place('java', 'buildah', 'v1'));
  // A layout takes the place of an earlier one, and of one that was interrupted.
  await mkdir(place('java', 'docker', 'v2.part'), { recursive: true });
  await linkLayout(content, v1, place('java', 'docker', 'v1'));
  await linkLayout(content, v1, place('java', 'docker', 'v2'));
  await linkLayout(content, v2, place('java', 'docker', 'v2'));
  const pairs = await pairsIn(join(folder, 'pairs'));
  assert.deepEqual(pairs.map(repositoryOf), ['java/docker', 'node/docker']);
  for (const { images } of pairs) {
    assert.deepEqual([images.v1.digest, images.v2.digest], [v1.digest, v2.digest]);
    assert.deepEqual(images.v2.bytes, v2.bytes);
  }
  assert.deepEqual(rowsOf(pairs)[0], ['java', 'docker', '3', '0.00', '0.00', '1', '0.00']);
  const layer = blobIn(place('node', 'docker', 'v1'), digestOf(Buffer.from('old')));
  assert.equal(await readFile(layer, 'utf8'), 'old');
  assert.ok((await stat(layer)).nlink > 2, 'a link takes no space');
});

test('what is no image has no layout', async () => {
  const index = Buffer.from(JSON.stringify({ manifests: [] }));
  const made = linkLayout(
    folder,
    { mediaType: 'index', ...(await inRegistry(index)), bytes: index },
    place('x'),
  );
  await assert.rejects(made, /no image, but index/);
});

test('the layers that changed are those that the old image has not, each once', () => {
  const [old, added] = [layersOf({ a: 1, b: 2 }), layersOf({ c: 4, d: 8 })];
  const pair = pairOf('node', old, [...old, ...added, ...added]);
  assert.deepEqual(changedLayers(pair), added);
  assert.equal(bytesOf(changedLayers(pair)), 12);
  assert.deepEqual(changedLayers(pairOf('node', added, added)), []);
  assert.equal(bytesOf([]), 0);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoadedImages } from '../../../../services/syncer/reconcile/pull/loaded-images.ts';

const image = (tag: string, priority = 0, isPartlyHere = false) => ({
  repository: 'app',
  tag,
  priority,
  isPartlyHere,
});

type Image = ReturnType<typeof image>;

/** Takes images in the background. @returns the tags so far */
function taken(images: LoadedImages<Image>): {
  tags: (string | null)[];
  ended: Promise<void>;
} {
  const tags: (string | null)[] = [];
  const take = async () => {
    for await (const { tag } of images) tags.push(tag);
  };
  return { tags, ended: take() };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('an image is pulled while others load', async () => {
  const [a, b] = [image('a'), image('b')];
  const images = new LoadedImages<Image>([a, b]);
  const { tags, ended } = taken(images);
  images.add(b);
  await turn();
  assert.deepEqual(tags, ['b']);
  images.add(a);
  await ended;
  assert.deepEqual(tags, ['b', 'a']);
});

test('no image is pulled before one of a higher priority that still loads', async () => {
  const [low, high] = [image('low', 1), image('high', 2)];
  const images = new LoadedImages<Image>([low, high]);
  const { tags, ended } = taken(images);
  images.add(low);
  await turn();
  assert.deepEqual(tags, []);
  images.add(high);
  await ended;
  assert.deepEqual(tags, ['high', 'low']);
});

test('an image that is left to a later batch holds back no other one', async () => {
  const [low, high] = [image('low', 1), image('high', 2)];
  const images = new LoadedImages<Image>([low, high]);
  const { tags, ended } = taken(images);
  images.add(low);
  images.ended(high);
  await ended;
  assert.deepEqual(tags, ['low']);
});

test('if blobs are here in part, all images are loaded first, and those with such blobs are pulled first', async () => {
  const [a, b] = [image('a'), image('b', 0, true)];
  const images = new LoadedImages<Image>([a, b]);
  images.holdBack();
  const { tags, ended } = taken(images);
  images.add(a);
  await turn();
  assert.deepEqual(tags, []);
  images.add(b);
  await ended;
  assert.deepEqual(tags, ['b', 'a']);
});

test('each image is pulled once, and all callers end when loading has ended', async () => {
  const images = new LoadedImages<Image>([image('a'), image('b'), image('c')]);
  const callers = [taken(images), taken(images)];
  images.add(image('a'));
  images.add(image('b'));
  images.close();
  await Promise.all(callers.map(({ ended }) => ended));
  assert.deepEqual(callers.flatMap(({ tags }) => tags).sort(), ['a', 'b']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LeftOutItem, leftOutText } from '#proto/sync/left-out.ts';
import { LeftOutContent } from '../../../../services/syncer/reconcile/context/left-out.ts';

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const item = (letter: string, kind: LeftOutItem['kind'] = 'referrer'): LeftOutItem => ({
  kind,
  digest: digest(letter),
  code: 'manifest-unknown',
  reason: `no ${letter}: push it again`,
});
const image = (letter: string, tag?: string) => ({
  repository: 'app',
  digest: digest(letter),
  ...(tag && { tag }),
});

test('the summary counts images and what they lack, and names the first', () => {
  const content = new LeftOutContent();
  assert.equal(content.summary(), undefined);
  content.begin(true);
  content.replace(image('a', 'v1'), [item('1'), item('2')]);
  content.replace(image('b'), [item('3', 'child')]);
  content.completed(40);
  const summary = content.summary();
  assert.ok(summary);
  const { images, of, referrers, children, first } = summary;
  assert.deepEqual([images, of, referrers, children], [2, 40, 2, 1]);
  assert.deepEqual(
    first.map(({ tag }) => tag),
    ['v1', 'v1', digest('b')],
  );
  assert.equal(
    leftOutText(summary),
    '38 of 40 images are complete; left out: 2 referrers and 1 image of an index (app:v1: no 1: push it again; and 2 more)',
  );
});

test('what is left out is new once, until something else is', () => {
  const content = new LeftOutContent();
  assert.equal(content.replace(image('a', 'v1'), [item('1')]), true);
  assert.equal(content.replace(image('a'), [item('1')]), false);
  assert.equal(content.summary()?.first[0]?.tag, 'v1');
  assert.equal(content.replace(image('a'), [item('1'), item('2')]), true);
  assert.equal(content.replace(image('a'), []), false);
  assert.equal(content.summary(), undefined);
});

test('a comparison of everything forgets what it does not confirm; any other pass keeps it', () => {
  const content = new LeftOutContent();
  content.begin(true);
  for (const letter of ['a', 'b', 'c']) content.replace(image(letter), [item('1')]);
  content.completed(3);
  content.begin(false);
  content.replace(image('a'), [item('2')]);
  content.completed(1);
  assert.deepEqual([content.summary()?.images, content.summary()?.of], [3, 3]);
  content.begin(true);
  for (const letter of ['a', 'b']) content.replace(image(letter), [item('2')]);
  content.completed(2);
  assert.deepEqual(content.imagesOf('app'), [digest('a'), digest('b')]);
  // A comparison that was cut short confirms nothing.
  content.begin(true);
  content.begin(false);
  content.completed(0);
  assert.equal(content.summary()?.images, 2);
});

test('while something is left out, everything is compared from time to time, and after a takeover', () => {
  let now = 0;
  const content = new LeftOutContent(undefined, () => now);
  assert.equal(content.isDue, false);
  content.begin(true);
  content.replace(image('a'), [item('1')]);
  content.completed(1);
  assert.equal(content.isDue, false);
  now += 60 * 60_000;
  assert.equal(content.isDue, true);
  content.replace(image('a'), []);
  assert.equal(content.isDue, false);
});

test('what an earlier coordinator reported stays until everything was compared', () => {
  const before = new LeftOutContent();
  before.begin(true);
  before.replace(image('a', 'v1'), [item('1')]);
  before.completed(3);
  const reported = before.summary();
  assert.ok(reported);
  const content = new LeftOutContent(reported);
  assert.deepEqual([content.isDue, content.summary()], [true, reported]);
  content.begin(false);
  content.completed(0);
  assert.deepEqual(content.summary(), reported);
  content.begin(true);
  content.completed(0, (repository) => repository === 'app');
  assert.deepEqual(content.summary(), reported, 'its repository could not be compared');
  content.begin(true);
  content.completed(3);
  assert.deepEqual([content.isDue, content.summary()], [false, undefined]);
});

test('a repository that could not be compared keeps what it lacked', () => {
  const content = new LeftOutContent();
  content.begin(true);
  content.replace(image('a'), [item('1')]);
  content.completed(3);
  content.begin(true);
  content.completed(0, (repository) => repository === 'app');
  assert.deepEqual([content.summary()?.images, content.summary()?.of], [1, 3]);
  content.begin(true);
  content.completed(0);
  assert.equal(content.summary(), undefined);
});

test('what any other pass leaves out is due as well, although everything was never compared', () => {
  let now = 0;
  const content = new LeftOutContent(undefined, () => now);
  now += 60 * 60_000;
  content.begin(false);
  content.replace(image('a'), [item('1')]);
  content.completed(1);
  assert.equal(content.isDue, false);
  now += 60 * 60_000;
  assert.equal(content.isDue, true);
});

test('a pass that sees only some images of a repository does not lower the number of those that lack a list', () => {
  const content = new LeftOutContent();
  const repository = { repository: 'app', digest: '' };
  content.begin(true);
  content.replace(repository, [item('1', 'referrers')], 40);
  content.completed(50);
  content.begin(false);
  content.replace(repository, [item('1', 'referrers')], 1);
  content.completed(1);
  assert.equal(content.summary()?.images, 40);
  content.begin(true);
  content.replace(repository, [item('1', 'referrers')], 30);
  content.completed(50);
  assert.equal(content.summary()?.images, 30);
});

test('the images and items that are remembered are bounded, further ones are counted', () => {
  const content = new LeftOutContent();
  for (let pass = 0; pass < 2; pass += 1) {
    content.begin(true);
    let isNew = 0;
    for (let at = 0; at < 11_000; at += 1) {
      const name = { repository: 'app', digest: `sha256:${String(at).padStart(64, '0')}` };
      if (content.replace(name, Array(at === 0 ? 500 : 1).fill(item('1')))) isNew += 1;
    }
    content.completed(20_000);
    const { images, referrers, first } = content.summary() ?? {};
    assert.deepEqual([images, referrers, first?.length], [11_000, 11_499, 20]);
    assert.equal(isNew, pass === 0 ? 10_000 : 0);
  }
});

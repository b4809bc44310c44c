import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ARRIVING_PATH } from '#proto/content/arriving.ts';
import { patience, until } from '../../support/until.ts';
import { blob, follow, holderOf, isHere, parent, requestsFor } from './prefetcher-rig.ts';

/** When a prefetch begins and how it ends. */

test('only blobs that are selected, large enough and missing are prefetched', async () => {
  const [selected, later] = [blob('app/a'), blob('app/b')];
  const [other, small] = [blob('other'), blob('app/small', 1_000)];
  await using _following = follow();
  parent.report(other.entry, small.entry, selected.entry);
  await until(() => isHere(selected.digest));
  parent.report(other.entry, small.entry, selected.entry, later.entry);
  await until(() => isHere(later.digest));
  assert.deepEqual(
    [other, small].map(({ digest }) => requestsFor(digest)),
    [0, 0],
  );
  assert.equal(requestsFor(selected.digest), 1);
});

test('a failed prefetch is retried when the parent reports another attempt', async () => {
  const selected = blob('app/a', 400_000, 'unknown');
  await using _following = follow();
  parent.report(selected.entry);
  await until(() => requestsFor(selected.digest) > 0);
  await until(async () => (await holderOf(selected.digest)) === undefined);
  parent.content.set(selected.digest, selected.content);
  parent.report({ ...selected.entry, attempt: 'b2' });
  await until(() => isHere(selected.digest));
});

test('when the window closes, the long poll ends and the claim is released', async () => {
  parent.linkUse = { usable: true, live: true, until: Date.now() + patience(750) };
  const selected = blob('app/a', 400_000, 'nothing');
  parent.report(selected.entry);
  await using _following = follow();
  await until(async () => (await holderOf(selected.digest)) === 'prefetch');
  await until(() => parent.waiting.size > 0);
  const closed = once([...parent.waiting][0] as ServerResponse, 'close');
  parent.linkUse = { usable: false, live: false };
  await closed;
  await until(async () => (await holderOf(selected.digest)) === undefined);
});

test('a new configuration ends the running prefetch and releases its claim', async () => {
  const selected = blob('app/a', 400_000, 'nothing');
  await using following = follow();
  parent.report(selected.entry);
  await until(async () => (await holderOf(selected.digest)) === 'prefetch');
  parent.blobs = [];
  parent.cursor += 1;
  following.prefetcher.reconfigured();
  await until(async () => (await holderOf(selected.digest)) === undefined);
});

test('an idle prefetcher sends no request until it is woken', async () => {
  const selected = blob('app/a');
  await using following = follow();
  const { prefetcher } = following;
  await until(() => parent.waiting.size > 0);
  let idleCount = 0;
  using _listener = prefetcher.onIdle(() => {
    idleCount += 1;
  });
  assert.equal(prefetcher.idle, false);
  // The long poll ends without arriving blobs.
  for (const response of parent.waiting) parent.answer(response);
  parent.waiting.clear();
  await until(() => prefetcher.idle);
  assert.equal(idleCount, 1);
  const { length } = parent.requests;
  parent.report(selected.entry);
  assert.equal(parent.requests.length, length);
  prefetcher.begin();
  await until(() => isHere(selected.digest));
});

test('a parent whose cursor changes without new blobs is not polled as fast as it answers', async () => {
  const contents: string[] = [];
  const pace = {
    after: (_tookMs: number, content: string) => {
      contents.push(content);
      return content === 'new' ? 0 : 1_000_000;
    },
  };
  parent.restless = true;
  const selected = blob('app/a');
  parent.blobs = [selected.entry];
  await using _following = follow(pace);
  await until(() => contents.length === 2);
  await until(() => isHere(selected.digest));
  parent.restless = false;
  assert.deepEqual(contents, ['new', 'known']);
  assert.equal(parent.requests.filter((path) => path === ARRIVING_PATH).length, 2);
});

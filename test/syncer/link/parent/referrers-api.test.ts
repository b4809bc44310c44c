import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEFT_OUT_ANNOTATION, MAX_RECORDED } from '#proto/content/left-out-referrers.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { ReferrersApi } from '../../../../services/syncer/link/parent/referrers-api.ts';
import { refused, scriptedRegistry } from '../../../support/registry/scripted/scripted-registry.ts';

const { signal } = new AbortController();

/** The API of a registry with an image and its referrer in each of two repositories, on a clock that the test sets. */
async function prepared() {
  const registry = await scriptedRegistry();
  const link = new ParentLink({ url: registry.url });
  const clock = { now: 0 };
  const images = ['a', 'b'].map((repository) => {
    const image = registry.content.image(repository, 'v1');
    return { image, note: registry.content.image(repository, undefined, { subject: image }) };
  });
  return {
    registry,
    clock,
    images,
    api: new ReferrersApi(link, undefined, () => clock.now),
    lists: () => registry.count('GET', /referrers/),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

test('a repository without the API is asked twice, then not again for a while; others are asked for themselves', async () => {
  await using rig = await prepared();
  const { registry, api, clock, images, lists } = rig;
  registry.quirk = ({ repository, path }) =>
    repository === 'a' && path.includes('referrers') ? refused(404, 'PAGE_NOT_FOUND') : undefined;
  const [a, b] = images;
  assert.equal(api.isSupported('a'), true);
  for (let times = 0; times < 3; times += 1) {
    assert.equal(await api.list('a', a?.image.digest as string, signal), undefined);
  }
  assert.equal(lists(), 2);
  assert.deepEqual([api.isSupported('a'), api.isSupported('b')], [false, true]);
  const list = await api.list('b', b?.image.digest as string, signal);
  assert.deepEqual(
    list?.manifests.map(({ digest }) => digest),
    [b?.note.digest],
  );
  registry.quirk = undefined;
  clock.now += 60 * 60_000;
  const later = await api.list('a', a?.image.digest as string, signal);
  assert.deepEqual(
    later?.manifests.map(({ digest }) => digest),
    [a?.note.digest],
  );
});

test('lists of a repository without the API that are wanted at a time cost two requests', async () => {
  await using rig = await prepared();
  rig.registry.quirk = ({ path }) =>
    path.includes('referrers') ? refused(404, 'PAGE_NOT_FOUND') : undefined;
  const digest = rig.images[0]?.image.digest as string;
  const lists = await Promise.all(Array.from({ length: 8 }, () => rig.api.list('a', digest, signal)));
  assert.deepEqual(lists, Array(8).fill(undefined));
  assert.equal(rig.lists(), 2);
});

test('lists that fail without an answer one after the other are not asked for until the recheck', async () => {
  await using rig = await prepared();
  const { registry, api, clock, images, lists } = rig;
  const subject = images[0]?.image.digest as string;
  // So long a wait is not retried within a request.
  const failed = { status: 503, headers: { 'retry-after': '3600' } };
  registry.quirk = ({ path }) => (path.endsWith(subject) ? failed : undefined);
  for (let times = 0; times < 10; times += 1) {
    await assert.rejects(api.list('a', subject, signal), { code: 'parent-unreachable' });
  }
  assert.ok(lists() < 8, `${lists()} requests`);
  clock.now += 60 * 60_000;
  registry.quirk = undefined;
  assert.equal((await api.list('a', subject, signal))?.manifests.length, 1);
});

test('however many lists are refused, the others are read', async () => {
  await using rig = await prepared();
  const { registry, api, images } = rig;
  const other = registry.content.image('a', 'v2');
  const note = registry.content.image('a', undefined, { subject: other });
  const subject = images[0]?.image.digest as string;
  registry.quirk = ({ path }) => (path.endsWith(subject) ? refused(400, 'MANIFEST_INVALID') : undefined);
  for (let times = 0; times < 10; times += 1) {
    await assert.rejects(api.list('a', subject, signal), { code: 'parent-refused' });
  }
  assert.equal(api.hiddenBy('a'), undefined);
  const list = await api.list('a', other.digest, signal);
  assert.deepEqual(
    list?.manifests.map(({ digest }) => digest),
    [note.digest],
  );
});

test('an API that has answered once is not missing, but hidden', async () => {
  await using rig = await prepared();
  const { registry, api, images } = rig;
  const subject = images[0]?.image.digest as string;
  assert.equal((await api.list('a', subject, signal))?.manifests.length, 1);
  registry.quirk = ({ path }) => (path.includes('referrers') ? refused(404, 'NOT_FOUND') : undefined);
  await assert.rejects(api.list('a', subject, signal), { code: 'parent-refused' });
  assert.equal(api.isSupported('a'), false);
  registry.quirk = undefined;
  api.recheck();
  assert.equal((await api.list('a', subject, signal))?.manifests.length, 1);
});

test('a list that is read while another one is refused shows that the API is not missing', async () => {
  await using rig = await prepared();
  const { registry, api, images } = rig;
  const { image, note } = images[0] ?? assert.fail();
  const isRead = Promise.withResolvers<void>();
  registry.quirk = async ({ path }) => {
    if (!path.includes('referrers') || path.endsWith(image.digest)) return undefined;
    await isRead.promise;
    return refused(400, 'DIGEST_INVALID');
  };
  const other = api.list('a', note.digest, signal);
  assert.equal((await api.list('a', image.digest, signal))?.manifests.length, 1);
  isRead.resolve();
  await assert.rejects(other, { code: 'parent-refused' });
});

test('a list that was cut off is asked for again after a minute, one that was refused is not', async () => {
  await using rig = await prepared();
  const { registry, api, clock, images } = rig;
  const [a, b] = images.map(({ image }) => image.digest);
  registry.quirk = ({ repository, path }) =>
    !path.includes('referrers') ? undefined : repository === 'a' ? 'drop' : refused(403, 'DENIED');
  await assert.rejects(api.list('a', a as string, signal), { code: 'parent-unreachable' });
  await assert.rejects(api.list('b', b as string, signal), { code: 'parent-refused' });
  assert.deepEqual([api.isSupported('a'), api.isSupported('b')], [false, false]);
  registry.quirk = undefined;
  clock.now += 61_000;
  assert.deepEqual([api.isSupported('a'), api.isSupported('b')], [true, false]);
  assert.equal((await api.list('a', a as string, signal))?.manifests.length, 1);
});

test('an abort is not an answer', async () => {
  await using rig = await prepared();
  const end = new AbortController();
  rig.registry.quirk = () => {
    end.abort(new Error('the pass ends'));
    return 'drop';
  };
  await assert.rejects(rig.api.list('a', rig.images[0]?.image.digest as string, end.signal), /the pass ends/);
  assert.equal(rig.api.isSupported('a'), true);
});

test('what a Terrace says that it lacks is read from the first page; anything else counts as nothing', async () => {
  await using rig = await prepared();
  const { registry, api, images } = rig;
  const subject = images[0]?.image.digest as string;
  let annotations: unknown;
  registry.quirk = ({ path, url }, regular) => {
    if (!path.includes('/referrers/')) return undefined;
    const reply = regular();
    const index = JSON.parse(String(reply.body));
    const isFirst = !url.searchParams.has('last');
    const link = isFirst && { link: `<${path}?last=x>; rel="next"` };
    return {
      ...reply,
      headers: { ...reply.headers, ...link } as Record<string, string>,
      body: JSON.stringify(
        isFirst ? { ...index, annotations } : { ...index, manifests: [], annotations: {} },
      ),
    };
  };
  const read = async (value: unknown) => {
    annotations = value;
    const list = await api.list('a', subject, signal);
    assert.equal(list?.manifests.length, 1, 'the list is read in any case');
    return [list?.leftOut, api.hiddenAbove('a')];
  };
  const one = { kind: 'referrer', digest: subject, code: 'manifest-unknown', reason: 'none' };
  const saying = (value: unknown) => ({
    [LEFT_OUT_ANNOTATION]: typeof value === 'string' ? value : JSON.stringify(value),
  });
  assert.deepEqual(await read(undefined), [[], undefined]);
  assert.deepEqual(await read(saying({ count: 1, first: [one] })), [[one], undefined]);
  const hidden = { code: 'parent-refused', reason: '403' };
  assert.deepEqual(await read(saying({ count: 0, first: [], hidden })), [[], hidden]);
  const [further] = await read(saying({ count: 9, first: [one] }));
  assert.equal((further as object[]).length, 2, 'that there are more is one entry');
  const tooMany = Array.from({ length: MAX_RECORDED + 1 }, () => one);
  for (const malformed of [
    null,
    'text',
    [],
    { [LEFT_OUT_ANNOTATION]: 7 },
    saying('{'),
    saying('null'),
    saying({ count: 21, first: tooMany }),
    saying({ count: 1, first: [{ ...one, kind: 'tag' }] }),
    saying({ count: 1, first: [{ ...one, digest: '../x' }] }),
    saying({ count: 1, first: [one], note: 'x'.repeat(1024 * 1024) }),
    saying(`${'['.repeat(5_000)}${']'.repeat(5_000)}`),
  ])
    assert.deepEqual(await read(malformed), [[], undefined], JSON.stringify(malformed)?.slice(0, 80));
});

test('whether a parent has lists is asked together with its first list, and no more once it has sent one', async () => {
  await using rig = await prepared();
  const { registry, api, images, lists } = rig;
  const { promise: both, resolve } = Promise.withResolvers<void>();
  registry.quirk = async ({ repository, path }) => {
    if (repository !== 'a' || !path.includes('referrers')) return undefined;
    if (lists() === 2) resolve();
    await both;
    return refused(404, 'PAGE_NOT_FOUND');
  };
  const [a, b] = images.map(({ image }) => image.digest);
  assert.equal(await api.list('a', a as string, signal), undefined);
  assert.equal(lists(), 2);
  await api.list('b', b as string, signal);
  const before = lists();
  await api.list('b', b as string, signal);
  assert.equal(lists(), before + 1);
});

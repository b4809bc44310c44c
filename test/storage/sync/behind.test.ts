import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deleteTag, putTag, setBases } from '#proto/content/manifests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { type BehindTag, listBehind, recordBehind, syncRepositories, syncTags } from '#proto/sync/behind.ts';
import { park } from '#proto/sync/outgoing.ts';
import { SyncOverview } from '../../../services/storage/sync/sync-overview.ts';
import { bytesOf, digestOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** What the layer lacks of its parent, and how each repository and tag stands against it. */

const buses = await sharedBuses();

const repository = 'lib/app';
const other = digestOf(bytesOf('at the parent'));
const none = { tags: 0, bytes: 0, unsized: 0, failed: 0 };

const record = (
  rig: Rig,
  put: BehindTag[],
  more: {
    drop?: string[];
    complete?: { tag: string; target: string }[];
    replace?: { after?: string; until?: string; incomplete?: true };
    uncompared?: { code: string; reason: string } | null;
    in?: string;
  } = {},
) =>
  rig.syncer.call(recordBehind, {
    repository: more.in ?? repository,
    put,
    drop: more.drop ?? [],
    ...(more.complete && { complete: more.complete }),
    ...(more.replace && { replace: more.replace }),
    ...(more.uncompared !== undefined && { uncompared: more.uncompared }),
  });
const behind = async (rig: Rig) => (await rig.syncer.call(storageStatus, {})).behind;
/** Without origins: tag-origins.test.ts has those. */
const tagsOf = async (rig: Rig, more: { differing?: boolean; after?: string; limit?: number } = {}) => {
  const page = await rig.gateway.call(syncTags, { repository, limit: 100, ...more });
  return { ...page, tags: page.tags.map(({ origin: _, ...tag }) => tag) };
};
const figuresOf = async (rig: Rig, only?: 'behind' | 'ahead') =>
  (await rig.gateway.call(syncRepositories, { limit: 100, ...(only && { only }) })).repositories;

test('the layer is behind until it has the target of the tag, across restarts', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'new');
  await record(rig, [
    { tag: 'v1', target: digest, bytes: 300 },
    { tag: 'v2', target: other },
  ]);
  const since = rig.now;
  assert.deepEqual(await behind(rig), { tags: 2, bytes: 300, unsized: 1, failed: 0, since });
  rig.now += 60_000;
  await rig.restart();
  assert.deepEqual(await behind(rig), { tags: 2, bytes: 300, unsized: 1, failed: 0, since });
  await rig.syncer.call(putTag, { repository, tag: 'v1', digest, base: true });
  assert.deepEqual(await behind(rig), { tags: 1, bytes: 0, unsized: 1, failed: 0, since });
  await rig.syncer.call(setBases, { repository, bases: [{ tag: 'v2', digest: null }] });
  assert.deepEqual(await behind(rig), none);
});

test('a repository that could not be compared is known as such until it is, across restarts', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'here', { tag: 'v1', base: true });
  const failure = { code: 'denied', reason: 'the login may not read it' };
  await record(rig, [], { uncompared: failure });
  const since = rig.now;
  rig.now += 60_000;
  await record(rig, [], { in: 'only/above', uncompared: failure });
  await record(rig, [], { uncompared: { ...failure, code: 'parent-error' } });
  await rig.restart();
  assert.equal((await rig.syncer.call(storageStatus, {})).uncompared, 2);
  assert.deepEqual(await rig.syncer.call(listBehind, { limit: 10 }), {
    repositories: [repository, 'only/above'],
    uncompared: [repository, 'only/above'],
    more: false,
  });
  const [own, above] = await figuresOf(rig);
  assert.deepEqual(own?.uncompared, { ...failure, code: 'parent-error', since });
  assert.deepEqual([above?.repository, above?.tags], ['only/above', 0]);
  assert.deepEqual(await tagsOf(rig), {
    ...{ covered: true, uncompared: true, more: false },
    tags: [{ tag: 'v1', digest, base: digest }],
  });
  await record(rig, [{ tag: 'v2', target: other }], { uncompared: null });
  await record(rig, [], { in: 'only/above', uncompared: null });
  assert.equal((await rig.syncer.call(storageStatus, {})).uncompared, undefined);
  const { repositories, uncompared } = await rig.syncer.call(listBehind, { limit: 10 });
  assert.deepEqual([repositories, uncompared], [[repository], []]);
  assert.equal((await figuresOf(rig))[0]?.uncompared, undefined);
});

test('what is recorded of a parent is not shown while the layer has none', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'here', { tag: 'v1', base: true });
  await record(rig, [{ tag: 'v1', target: other }]);
  await record(rig, [], { in: 'only/above', uncompared: { code: 'denied', reason: 'no' } });
  rig.configure({ hasParent: false });
  const [own, ...others] = await figuresOf(rig);
  assert.deepEqual([own?.behind, others, await figuresOf(rig, 'behind')], [none, [], []]);
  assert.deepEqual((await tagsOf(rig)).tags, [{ tag: 'v1', digest, base: digest }]);
  rig.configure({ hasParent: true });
  assert.equal((await figuresOf(rig)).length, 2);
});

test('what is recorded after it was carried out does not count', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'new', { tag: 'v1', base: true });
  await record(rig, [
    { tag: 'v1', target: digest },
    { tag: 'gone', target: null },
  ]);
  assert.deepEqual(await behind(rig), none);
  await record(rig, [{ tag: 'v1', target: null }]);
  assert.deepEqual(await behind(rig), { ...none, tags: 1, since: rig.now });
  await rig.syncer.call(deleteTag, { repository, tag: 'v1', expect: digest, base: true });
  assert.deepEqual(await behind(rig), none);
});

test('a tag keeps the instant of its target; another target begins anew, and a failure is counted', async () => {
  await using rig = await Rig.open(buses);
  await record(rig, [{ tag: 'v1', target: other }]);
  const since = rig.now;
  rig.now += 1_000;
  await record(rig, [{ tag: 'v1', target: other, bytes: 7, code: 'blob-unknown', reason: 'it is gone' }]);
  assert.deepEqual(await behind(rig), { tags: 1, bytes: 7, unsized: 0, failed: 1, since });
  await record(rig, [{ tag: 'v1', target: digestOf(bytesOf('newer')) }]);
  assert.deepEqual((await tagsOf(rig)).tags[0]?.behind?.since, rig.now);
});

test('an incomplete image is recorded while its tag points to it, until it is complete', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'new', { tag: 'v1', base: true });
  const lacking: BehindTag = { tag: 'v1', target: digest, incomplete: true, bytes: 7 };
  const one = { tags: 1, bytes: 7, unsized: 0, failed: 0, since: rig.now };
  await record(rig, [lacking, { ...lacking, tag: 'v2' }]);
  assert.deepEqual(await behind(rig), one);
  // A comparison of tags does not know what images lack.
  await record(rig, [], { replace: {} });
  assert.deepEqual(await behind(rig), one);
  await record(rig, [], { complete: [{ tag: 'v1', target: other }] });
  assert.deepEqual(await behind(rig), one);
  await record(rig, [], { complete: [{ tag: 'v1', target: digest }] });
  assert.deepEqual(await behind(rig), none);
  await record(rig, [lacking]);
  await record(rig, [], { replace: { incomplete: true } });
  assert.deepEqual(await behind(rig), none);
});

test('a complete comparison replaces the records of a repository', async () => {
  await using rig = await Rig.open(buses);
  await record(rig, [
    { tag: 'a', target: other },
    { tag: 'b', target: other },
    { tag: 'c', target: null },
  ]);
  await record(rig, [{ tag: 'z', target: other }], { in: 'lib/other' });
  await record(rig, [{ tag: 'b', target: other }], { replace: {} });
  assert.deepEqual(
    (await tagsOf(rig)).tags.map(({ tag }) => tag),
    ['b'],
  );
  assert.deepEqual(await rig.syncer.call(listBehind, { limit: 10 }), {
    repositories: [repository, 'lib/other'],
    uncompared: [],
    more: false,
  });
  assert.deepEqual(await rig.syncer.call(listBehind, { limit: 1 }), {
    repositories: [repository],
    uncompared: [],
    more: true,
  });
  await record(
    rig,
    ['c', 'd', 'e'].map((tag) => ({ tag, target: other })),
  );
  await record(rig, [{ tag: 'd', target: other }], { replace: { after: 'b', until: 'd' } });
  assert.deepEqual(
    (await tagsOf(rig)).tags.map(({ tag }) => tag),
    ['b', 'd', 'e'],
  );
  await record(rig, [], { drop: ['b', 'd', 'e'] });
  assert.deepEqual((await rig.syncer.call(listBehind, { after: 'lib/an', limit: 10 })).repositories, [
    'lib/other',
  ]);
});

test('each tag is listed with its targets here, at the last agreement and at the parent', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'same', { tag: 'same', base: true });
  await rig.gateway.call(putTag, { repository, tag: 'moved', digest });
  await record(rig, [{ tag: 'only-there', target: other, bytes: 5 }]);
  const refusal = { code: 'denied', reason: 'read only', since: 1, attempts: 2, retry: 3 };
  await rig.syncer.call(park, { repository, reference: 'moved', digest, ...refusal });
  const all = [
    { tag: 'moved', digest, parked: refusal },
    { tag: 'only-there', behind: { target: other, bytes: 5, since: rig.now } },
    { tag: 'same', digest, base: digest },
  ];
  assert.deepEqual(await tagsOf(rig), { covered: true, tags: all, more: false });
  assert.deepEqual(await tagsOf(rig, { limit: 1, after: 'moved' }), {
    covered: true,
    tags: [all[1]],
    more: true,
  });
  assert.deepEqual((await tagsOf(rig, { differing: true })).tags, all.slice(0, 2));
});

test('each repository has its figures, also one that only the parent has', async () => {
  await using rig = await Rig.open(buses);
  rig.configure({ selected: ['lib/*'] });
  const digest = await rig.gateway.pushImage(repository, 'same', { tag: 'v1', base: true, arrived: true });
  await rig.gateway.pushImage('own/app', 'own', { tag: 'v1' });
  await rig.gateway.call(putTag, { repository, tag: 'v1.conflict-line-aaaaaaaaaaaa', digest });
  await record(rig, [{ tag: 'v1', target: other }], { in: 'lib/new' });
  const nothing = { tags: 0, manifests: 0, deletions: 0, parked: 0 };
  const app = {
    repository,
    covered: true,
    tags: 2,
    conflicts: 1,
    behind: none,
    ahead: { ...nothing, tags: 1 },
  };
  const late = {
    repository: 'lib/new',
    covered: true,
    tags: 0,
    conflicts: 0,
    behind: { tags: 1, bytes: 0, unsized: 1, failed: 0, since: rig.now },
    ahead: nothing,
  };
  const own = {
    ...{ repository: 'own/app', covered: false, tags: 1, conflicts: 0, behind: none },
    ahead: { ...nothing, tags: 1, manifests: 1 },
  };
  // Several may look at the same time.
  for (const seen of await Promise.all([figuresOf(rig), figuresOf(rig), figuresOf(rig)]))
    assert.deepEqual(seen, [app, late, own]);
  assert.deepEqual(await figuresOf(rig, 'behind'), [late]);
  assert.deepEqual(await figuresOf(rig, 'ahead'), [app, own]);
  // The figures of the layer leave out what no selection covers.
  const { outgoing, conflicts } = await rig.syncer.call(storageStatus, {});
  assert.equal(outgoing.tags, 1);
  assert.equal(conflicts, 1);
  // Agreement ends it at once.
  await rig.syncer.call(setBases, {
    repository,
    bases: [{ tag: 'v1.conflict-line-aaaaaaaaaaaa', digest }],
  });
  assert.equal((await rig.syncer.call(storageStatus, {})).outgoing.tags, 0);
  await rig.gateway.call(deleteTag, { repository, tag: 'v1' });
  assert.deepEqual((await figuresOf(rig))[0], { ...app, tags: 1, ahead: { ...nothing, tags: 1 } });
});

test('names that do not match cost no figures, and a repository is found however many are before it', async () => {
  await using rig = await Rig.open(buses);
  // In the order of names, `line/…` is between `line` and `line1`.
  for (const name of ['line', ...Array.from({ length: 7 }, (_, at) => `line/${at}`), 'line1'])
    await rig.gateway.pushImage(name, name, { tag: 'v1' });
  await record(rig, [{ tag: 'v1', target: other }], { in: 'line2' });
  const ask = (query: object) => rig.gateway.call(syncRepositories, { limit: 3, ...query });
  const namesOf = async (query: object) => (await ask(query)).repositories.map((one) => one.repository);
  assert.deepEqual(await namesOf({ repository: 'line1' }), ['line1']);
  assert.deepEqual(await namesOf({ repository: 'line2' }), ['line2'], 'one that only the parent has');
  assert.deepEqual(await namesOf({ repository: 'line3' }), []);
  assert.deepEqual(await namesOf({ match: 'ine1' }), ['line1']);
  const first = await ask({ match: 'line/' });
  assert.deepEqual([first.repositories.length, first.more, first.searched], [3, true, 'line/2']);
  assert.deepEqual(await namesOf({ match: 'line/', after: 'line/2', limit: 9 }), [
    'line/3',
    'line/4',
    'line/5',
    'line/6',
  ]);
  const nothing = await ask({ match: 'zz' });
  assert.deepEqual(nothing, { repositories: [], more: false, searched: 'line2' });
});

test('a search of many repositories is bounded, and reads no figures of those that do not match', async () => {
  const names = Array.from({ length: 6_000 }, (_, at) => `app/${10_000 + at}`);
  async function* repositories(after = '') {
    for (const name of names) if (name > after) yield [name, {}];
  }
  async function* nothing() {}
  const deps = {
    metadata: { repositories, allBehind: nothing, allUncompared: nothing },
    selection: { hasParent: true },
    tagIndex: { counts: () => assert.fail('figures were read') },
  };
  const overview = new SyncOverview(deps as unknown as ConstructorParameters<typeof SyncOverview>[0]);
  const first = await overview.repositories({ limit: 200, match: 'zz' });
  assert.deepEqual(first, { repositories: [], more: true, searched: names[4_999] as never });
  const rest = await overview.repositories({ limit: 200, match: 'zz', after: names[4_999] as never });
  assert.deepEqual(rest, { repositories: [], more: false, searched: names.at(-1) as never });
});

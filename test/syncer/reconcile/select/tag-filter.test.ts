import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import type { TagFilter } from '#proto/document/selection.ts';
import { selectedTags, tagsOf } from '../../../../services/syncer/reconcile/select/tag-filter.ts';

const TAGS = [
  'latest',
  'v1.2.3',
  '1.2.4',
  '1.2',
  'v1.10',
  'v1.9.9',
  '2.0.0-rc.1',
  '2.0.0',
  '1.2.3-alpine',
  '3',
  'build-9',
  'build-10',
  'nightly',
  '2024.01.05',
];
const chosen = (filter: TagFilter | undefined, tags = TAGS) => [...tagsOf(filter, tags)].sort();

test('no filter, or an empty one, selects every tag', () => {
  assert.deepEqual(chosen(undefined), [...TAGS].sort());
  assert.deepEqual(chosen({}), [...TAGS].sort());
});

const rows: [TagFilter, string[]][] = [
  [{ match: ['v1.*'] }, ['v1.10', 'v1.2.3', 'v1.9.9']],
  [{ match: ['latest', 'build-?'] }, ['build-9', 'latest']],
  [{ match: ['{latest,nightly}'] }, ['latest', 'nightly']],
  [{ match: ['build-[0-9][0-9]'] }, ['build-10']],
  [{ match: ['!(v1*|*.*|build*)'] }, ['3', 'latest', 'nightly']],
  [{ match: [] }, []],
  [{ regex: 'v?\\d+\\.\\d+' }, ['1.2', 'v1.10']],
  [{ regex: '1' }, []],
  [{ regex: 'latest|nightly' }, ['latest', 'nightly']],
  [{ regex: 'LATEST' }, []],
  [{ regex: '[a-z.-]+' }, ['latest', 'nightly']],
  [{ semver: '>=1.2 <2' }, ['1.2', '1.2.4', 'v1.10', 'v1.2.3', 'v1.9.9']],
  [{ semver: '^1.2.4' }, ['1.2.4', 'v1.10', 'v1.9.9']],
  [{ semver: '*' }, ['1.2', '1.2.4', '2.0.0', '2024.01.05', 'v1.10', 'v1.2.3', 'v1.9.9']],
  [{ semver: '>=2.0.0-rc.0 <3' }, ['2.0.0', '2.0.0-rc.1']],
  [{ semver: '1.2.0' }, ['1.2']],
  [{ latest: 1 }, ['2024.01.05']],
  [{ latest: 4, semver: '<100' }, ['1.2.4', '2.0.0', 'v1.10', 'v1.9.9']],
  [{ latest: 2, match: ['2.0.0*', '1.2*'] }, ['2.0.0', '2.0.0-rc.1']],
  [{ latest: 2, match: ['build-*'] }, ['build-10', 'build-9']],
  [{ latest: 1, match: ['build-*'] }, ['build-10']],
  [{ latest: 2, match: ['nightly', 'build-*', '1.2'] }, ['1.2', 'nightly']],
  [{ match: ['v*'], regex: '.*9', semver: '>1.0' }, ['v1.9.9']],
];
for (const [filter, expected] of rows) {
  test(`${JSON.stringify(filter)} selects ${expected.join(', ') || 'no tag'}`, () =>
    assert.deepEqual(chosen(filter), expected));
}

test('a pattern of an earlier version that can not be parsed is named in the fault', () => {
  assert.throws(() => chosen({ regex: '(?!rc).*' }), /regex "\(\?!rc\)\.\*" can't be used: .*Perl syntax/);
  assert.throws(() => chosen({ match: ['!latest'] }), { code: 'config-invalid' });
});

test('a crafted tag does not cause catastrophic backtracking in a regex or a glob', () => {
  const digits = `v${'1'.repeat(60)}x`;
  const letters = 'a'.repeat(128);
  assert.deepEqual(chosen({ regex: 'v(\\d+\\.?)+' }, [digits, 'v1.2']), ['v1.2']);
  assert.deepEqual(chosen({ regex: '(a+)+b|(a|a?)+b|(.*a){40}b' }, [letters]), []);
  assert.deepEqual(
    chosen({ match: [`${'*a'.repeat(30)}*b`, '+(a|aa)b', '+(+(a|aa)|*(aaa|a))b'] }, [letters]),
    [],
  );
  // With backtracking, each level would try all alternatives of the levels inside it.
  assert.deepEqual(chosen({ match: [`${'+('.repeat(20)}a${')'.repeat(20)}b`] }, [letters]), []);
});

test('an alternative in a regex is anchored on both sides', () => {
  assert.deepEqual(chosen({ regex: 'a|b' }, ['a', 'b', 'ab', 'xb', 'ax']), ['a', 'b']);
});

test('tags of the same version have a fixed order, regardless of the order of the list', () => {
  for (const tags of [
    ['v1.2.0', '1.2.0', '1.2'],
    ['1.2', '1.2.0', 'v1.2.0'],
    ['1.2.0', 'v1.2.0', '1.2'],
  ]) {
    assert.deepEqual(chosen({ latest: 1 }, tags), ['v1.2.0']);
  }
});

const tag = fc.oneof(
  fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,12}$/),
  fc
    .tuple(
      fc.constantFrom('', 'v'),
      fc.nat(12),
      fc.nat(12),
      fc.nat(12),
      fc.constantFrom('', '-rc.1', '-alpine'),
    )
    .map(([v, a, b, c, rest]) => `${v}${a}.${b}.${c}${rest}`),
);
const anyTags = fc.uniqueArray(tag, { maxLength: 30 });

test('latest N selects N tags at most, regardless of their order, and N + 1 only adds tags', () => {
  fc.assert(
    fc.property(anyTags, fc.integer({ min: 1, max: 10 }), (tags, latest) => {
      const some = tagsOf({ latest }, tags);
      assert.equal(some.size, Math.min(latest, tags.length));
      assert.deepEqual(tagsOf({ latest }, [...tags].reverse()), some);
      const more = tagsOf({ latest: latest + 1 }, tags);
      for (const one of some) assert.ok(more.has(one));
    }),
  );
});

test('a filter with several conditions selects the tags that meet each of them', () => {
  const filters = { match: ['v*', '1*'], regex: '.*[0-9]', semver: '>=1.2' };
  fc.assert(
    fc.property(anyTags, (tags) => {
      const each = Object.entries(filters).map(([key, value]) => tagsOf({ [key]: value }, tags));
      const expected = tags.filter((one) => each.every((set) => set.has(one)));
      assert.deepEqual([...tagsOf(filters, tags)], expected);
    }),
  );
});

test('every filter of an accepted document can be evaluated', () => {
  const glob = fc.stringMatching(/^[ab.*?[\]{}(),|@+!^-]{1,10}$/);
  const regex = fc.stringMatching(/^[ab.*?[\]{}()|\\^$dw-]{1,10}$/);
  const semver = fc.stringMatching(/^[<>=~^|x*0-9. -]{1,10}$/);
  let accepted = 0;
  fc.assert(
    fc.property(
      fc.oneof(fc.record({ match: fc.array(glob) }), fc.record({ regex }), fc.record({ semver })),
      (tags) => {
        const repositories = [{ name: 'a', tags }];
        const resolved = resolveDocument({ overrides: { repositories }, readable: () => true });
        if (!('configuration' in resolved)) return;
        accepted += 1;
        for (const tag of tagsOf(tags, TAGS)) assert.ok(TAGS.includes(tag));
      },
    ),
    { numRuns: 1_000 },
  );
  assert.ok(accepted > 50, `${accepted} accepted`);
});

test('a long list is filtered in batches with turns of the event loop, and the result is the same', async () => {
  const tags = Array.from({ length: 5_000 }, (_, at) => `v1.${(at * 7_919) % 5_000}.0`);
  for (const filter of [undefined, { latest: 3 }, { match: ['v1.4*'], latest: 2 }, { semver: '<1.9' }]) {
    assert.deepEqual(await selectedTags(filter, tags), tagsOf(filter, tags));
  }
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  });
  await selectedTags(
    { regex: 'v.*0' },
    Array.from({ length: 200_000 }, (_, at) => `v${at}`),
  );
  clearInterval(timer);
  assert.ok(turns > 0);
});

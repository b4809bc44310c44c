import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readGlob } from '#proto/oci/tag-glob.ts';

const rows: [glob: string, matches: string[], others: string[]][] = [
  ['v1.*', ['v1.', 'v1.2'], ['v1', 'xv1.2']],
  ['build-?', ['build-1'], ['build-', 'build-12']],
  ['[a-c1]x[!0-9]', ['axb', '1x_'], ['dxb', 'ax1']],
  ['[^a-]', ['b'], ['a', '-']],
  ['{latest,v{1,2}.*}', ['latest', 'v2.0'], ['v3.0']],
  ['{1..3}{b..a}', ['1a', '3b'], ['4a', '1c']],
  ['(a|b)c', ['ac', 'bc'], ['c', 'abc']],
  ['@(a|b)', ['a'], ['', 'ab']],
  ['?(v)1', ['1', 'v1'], ['vv1']],
  ['*(ab|c)d', ['d', 'abcabd'], ['acd']],
  ['+(ab|c)', ['c', 'abc'], ['', 'a']],
  ['!(latest)', ['', 'late', 'latest2'], ['latest']],
  ['!(*-rc*|*-beta)', ['v1', 'beta'], ['v1-rc.1', 'v1-beta']],
  ['v!(1)b', ['vb', 'v11b'], ['v1b', 'v1']],
  ['a+b^@', ['a+b^@'], ['a+b', 'ab']],
];
for (const [glob, matches, others] of rows) {
  test(`the glob ${glob} matches the expected tags`, () => {
    const isMatch = readGlob(glob);
    assert.deepEqual(
      [...matches, ...others].filter((tag) => isMatch?.(tag)),
      matches,
    );
  });
}

test('invalid globs are rejected', () => {
  for (const text of [
    '',
    'a/b',
    '!b',
    'a[b',
    'a]',
    '[]',
    '[b-a]',
    '{a}',
    '{a',
    'a}',
    '(a',
    'a)',
    '@(a',
    '[a(b]',
    'a b',
  ]) {
    assert.equal(readGlob(text), undefined, text);
  }
  assert.equal(readGlob(`${'[!('.repeat(80)}`), undefined);
});

/** Whether a group matches, by trying every way to split the text: feasible for short texts only. */
type Node = { repeat: string; options: string[] };
function matchesEveryWay({ repeat, options }: Node, text: string): boolean {
  const once = options.includes(text);
  if (repeat === '!') return !once;
  if (once || (text === '' && '?*'.includes(repeat))) return true;
  if (repeat === '@' || repeat === '?') return false;
  return options.some(
    (option) =>
      option !== '' &&
      text.startsWith(option) &&
      matchesEveryWay({ repeat, options }, text.slice(option.length)),
  );
}

test('groups match the same tags as an exhaustive search', () => {
  const word = fc.stringMatching(/^[ab]{1,3}$/);
  const group = fc.record({
    repeat: fc.constantFrom('@', '?', '*', '+', '!'),
    options: fc.array(word, { minLength: 1, maxLength: 3 }),
  });
  fc.assert(
    fc.property(group, group, fc.stringMatching(/^[ab]{0,8}$/), (first, second, tag) => {
      const glob = [first, second].map(({ repeat, options }) => `${repeat}(${options.join('|')})`).join('');
      const expected = Array.from({ length: tag.length + 1 }, (_, at) => at).some(
        (at) => matchesEveryWay(first, tag.slice(0, at)) && matchesEveryWay(second, tag.slice(at)),
      );
      assert.equal(readGlob(glob)?.(tag), expected, `${glob} ${tag}`);
    }),
    { numRuns: 2_000 },
  );
});

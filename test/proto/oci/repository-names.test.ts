import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RepositoryNames, renamesOf } from '#proto/oci/repository-names.ts';

/** Renames, and pairs of a name here and at the parent; `undefined`: the repository has no name here. */
const table: [
  renames: [from: string, name: string][],
  pairs: [here: string | undefined, parent: string][],
][] = [
  [
    [],
    [
      ['a', 'a'],
      ['a/b', 'a/b'],
    ],
  ],
  [
    [['library/nginx', 'plant/nginx']],
    [
      ['plant/nginx', 'library/nginx'],
      ['other', 'other'],
      [undefined, 'plant/nginx'],
    ],
  ],
  [
    [['line/*', 'plant/*']],
    [
      ['plant/a', 'line/a'],
      ['plant/a/b', 'line/a/b'],
      ['line', 'line'],
      [undefined, 'plant/a'],
    ],
  ],
  [
    [['*', 'hub/*']],
    [
      ['hub/library/nginx', 'library/nginx'],
      ['hub/a', 'a'],
    ],
  ],
  [
    [['proxy/*', '*']],
    [
      ['library/nginx', 'proxy/library/nginx'],
      [undefined, 'library/nginx'],
    ],
  ],
  [
    [
      ['a', 'b'],
      ['b', 'a'],
    ],
    [
      ['a', 'b'],
      ['b', 'a'],
    ],
  ],
  [
    [
      ['line/*', 'plant/*'],
      ['line/a/*', 'plant/a/*'],
    ],
    [
      ['plant/a/b', 'line/a/b'],
      ['plant/c', 'line/c'],
    ],
  ],
  // A name that would be longer than any registry allows is none.
  [[['*', `${'x'.repeat(100)}/*`]], [[undefined, 'y'.repeat(200)]]],
];

for (const [renames, pairs] of table) {
  test(`${renames.map(([from, name]) => `${from} as ${name}`).join(', ') || 'no renames'}`, () => {
    const names = new RepositoryNames(renames.map(([from, name]) => ({ from, name })));
    for (const [here, parent] of pairs) {
      assert.equal(names.here(parent), here, `${parent} here`);
      if (here !== undefined) assert.equal(names.above(here), parent, `${here} above`);
    }
  });
}

test('no two repositories of the parent have one name here, whatever the renames are', () => {
  const name = fc.stringMatching(/^[ab](?:\/[ab]){0,2}$/);
  const rename = fc
    .tuple(name, name, fc.boolean())
    .map(([from, here, all]) => (all ? { from: `${from}/*`, name: `${here}/*` } : { from, name: here }));
  fc.assert(
    fc.property(fc.array(rename, { maxLength: 4 }), fc.array(name), (renames, parents) => {
      const names = new RepositoryNames(renames);
      const here = [...new Set(parents)].map((one) => names.here(one)).filter((one) => one !== undefined);
      assert.equal(new Set(here).size, here.length);
    }),
  );
});

test('only selections with another name are renames, in one order', () => {
  const selections = [
    { name: 'b', from: 'x' },
    { name: 'c' },
    { name: 'a', from: 'y' },
    { name: 'd', from: 'd' },
  ];
  assert.deepEqual(renamesOf(selections), [
    { name: 'a', from: 'y' },
    { name: 'b', from: 'x' },
  ]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import { MAX_RENAMES } from '#proto/oci/repository-names.ts';

const resolve = (repositories: string) =>
  resolveDocument({ text: `repositories: ${repositories}`, readable: () => true });

const accepted: [repositories: string, selections: [name: string, from: string | undefined][]][] = [
  ['[{ from: library/nginx, as: plant/nginx }]', [['plant/nginx', 'library/nginx']]],
  [
    '[{ from: line/*, as: plant/* }, other/*]',
    [
      ['plant/*', 'line/*'],
      ['other/*', undefined],
    ],
  ],
  ['[{ from: "*", as: hub/* }]', [['hub/*', '*']]],
  ['[{ from: proxy/*, as: "*" }]', [['*', 'proxy/*']]],
  [
    '[{ from: a, as: b }, { from: b, as: a }]',
    [
      ['b', 'a'],
      ['a', 'b'],
    ],
  ],
  ['[{ from: a, as: a }]', [['a', undefined]]],
  // The narrower entry gives the same names as the wider one.
  [
    '[{ from: line/*, as: plant/* }, { from: line/a, as: plant/a, platforms: [linux/arm64] }]',
    [
      ['plant/*', 'line/*'],
      ['plant/a', 'line/a'],
    ],
  ],
];
for (const [repositories, selections] of accepted) {
  test(`repositories: ${repositories} is accepted`, () => {
    const resolved = resolve(repositories);
    assert.ok('configuration' in resolved, JSON.stringify(resolved));
    assert.deepEqual(
      resolved.configuration.repositories.map(({ name, from }) => [name, from]),
      selections,
    );
    assert.ok(resolved.configuration.repositories.every((one) => !('as' in one)));
  });
}

const refused: [repositories: string, field: RegExp, remedy: RegExp][] = [
  ['[{ from: a }]', /^repositories\.0\.as is missing/, /write the name/],
  ['[{ as: a }]', /^repositories\.0\.from is missing/, /write the name/],
  ['[{ name: a, from: b, as: a }]', /^repositories\.0 has both name and from/, /write name, or from and as/],
  ['[{ name: a, as: b }]', /^repositories\.0 has both name and as/, /write name, or from and as/],
  ['[{ from: a..b, as: b }]', /^repositories\.0\.from "a\.\.b"/, /prefix/],
  ['[{ from: a/*, as: b }]', /^repositories\.0\.as "b" does not fit from "a\/\*"/, /a name for a name/],
  ['[{ from: a, as: b/* }]', /^repositories\.0\.as "b\/\*" does not fit from "a"/, /a name for a name/],
  ['[{ from: "a/*/c", as: "b/*/c" }]', /^repositories\.0\.from/, /prefix/],
  // One name here for two repositories of the parent.
  [
    '[{ from: a, as: x }, { from: b, as: x }]',
    /^repositories\.0\.as "x" .* repositories\.1/,
    /choose other names/,
  ],
  ['[{ from: a, as: x }, x]', /^repositories\.0\.as "x" .* repositories\.1/, /choose other names/],
  ['["*", { from: a, as: x }]', /^repositories\.1\.as "x" .* repositories\.0/, /select less/],
  [
    '[{ from: line/*, as: plant/* }, plant/a]',
    /^repositories\.0\.as "plant\/\*" .* repositories\.1/,
    /choose/,
  ],
  [
    '[{ from: line/*, as: plant/* }, { from: x/*, as: plant/a/* }]',
    /^repositories\.0\.as .* repositories\.1/,
    /choose/,
  ],
  // Two names here for one repository of the parent.
  [
    '[{ from: a, as: x }, { from: a, as: y }]',
    /^repositories\.0\.from "a" .* repositories\.1/,
    /under one name/,
  ],
  ['[{ from: a, as: x }, a]', /^repositories\.0\.from "a" .* repositories\.1/, /under one name/],
  [
    '[{ from: line/*, as: plant/* }, { from: line/a, as: x }]',
    /^repositories\.0\.from .* repositories\.1/,
    /one name/,
  ],
  [
    '[{ from: line/a, as: x }, line/*]',
    /^repositories\.0\.from "line\/a" .* repositories\.1 \("line/,
    /under one name/,
  ],
  [
    '[{ from: a, as: x, priority: 1 }, { from: a, as: x }]',
    /^repositories\.1 is the second entry for "x"/,
    /merge/,
  ],
];
for (const [repositories, field, remedy] of refused) {
  test(`repositories: ${repositories} is refused`, () => {
    const resolved = resolve(repositories);
    assert.ok('complaints' in resolved);
    assert.match(resolved.complaints[0] ?? '', field);
    assert.match(resolved.complaints[0] ?? '', remedy);
  });
}

test('there is a limit of entries with another name, which storage can record', () => {
  const entries = Array.from({ length: MAX_RENAMES + 1 }, (_, at) => ({ from: `a${at}`, as: `b${at}` }));
  assert.ok('configuration' in resolve(JSON.stringify(entries.slice(1))));
  const resolved = resolve(JSON.stringify(entries));
  assert.ok('complaints' in resolved);
  assert.match(resolved.complaints[0] ?? '', /^repositories has more than 500 entries with from/);
});

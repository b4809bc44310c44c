import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { checkDocument, findingText } from '../../../cli/document/document-check.ts';

/** Complaints and warnings of a document, with their places in the text. */

const NOW = Date.parse('2030-01-01T00:00:00Z');
const HASH = `scrypt$14$8$1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

const checked = (text: string, mode = 0o600, defaults: Overrides = {}) =>
  checkDocument({
    text,
    file: '/etc/terrace/terrace.yaml',
    defaults,
    files: { readable: (path) => !path.includes('missing') },
    modeOf: () => mode,
    now: NOW,
  });
const linesOf = (text: string, mode?: number, defaults?: Overrides) => {
  const { complaints, warnings } = checked(text, mode, defaults);
  return {
    complaints: complaints.map((one) => findingText('f', one)),
    warnings: warnings.map((one) => findingText('f', one)),
  };
};

test('all faults of a document are found in one round, in the order of the text', () => {
  const text = `name: line
listn: 0.0.0.0:5000
mode: ReadOnlyy
parent:
  url: https://above
  username: line
  passwordFile: missing
repositories:
  - line/*
  - name: app
    tgas: {}
  - { name: b, tags: { match: ["b:v1"] } }
schedule: "99 * * * *"
`;
  assert.deepEqual(linesOf(text), {
    complaints: [
      'f:2:1: listn is not a field: did you mean listen?',
      'f:3:1: mode "ReadOnlyy" is not valid: write ReadWrite or ReadOnly',
      `f:7:3: parent.passwordFile "/etc/terrace/missing" can't be read: create that file, or name another one`,
      'f:11:5: repositories.1.tgas is not a field: did you mean repositories.1.tags?',
      'f:12:32: repositories.2.tags.match.0 "b:v1" is not valid: write a list of globs for complete tags, such as v1.*',
      'f:13:1: schedule "99 * * * *" is not valid: write cron with five fields (UTC), such as "*/15 * * * *"',
    ],
    warnings: [],
  });
});

test('each error of the YAML has its place', () => {
  const { complaints } = checked('name: [a\nmode: "x\n');
  assert.ok(complaints.length >= 2, JSON.stringify(complaints));
  for (const { position, message } of complaints) {
    assert.ok(position && position.line >= 1 && position.column >= 1);
    assert.match(message, /^the document is not YAML: [^\n]+$/);
  }
  const doubled = linesOf('mode: ReadOnly\nname: a\nmode: ReadWrite\n').complaints;
  assert.deepEqual(doubled, ['f:3:1: the document is not YAML: Map keys must be unique']);
});

test('what is missing is reported where it should be; what is not from the text has no place', () => {
  assert.deepEqual(linesOf('parent:\n  username: a\n').complaints, [
    'f:1:1: parent.url is missing: write https://host or http://host, with an optional port and an optional path, without ? and #',
  ]);
  const { complaints } = linesOf('name: a\n', undefined, { mode: 'Neither' as 'ReadOnly' });
  assert.deepEqual(complaints, ['f: mode "Neither" is not valid: write ReadWrite or ReadOnly']);
  assert.deepEqual(linesOf('- a\n').complaints, [
    'f: the document is not a mapping: write fields, such as "listen: 127.0.0.1:5000"',
  ]);
});

test('an anchor is followed to where its fields are', () => {
  const text = 'repositories:\n  - &a { name: x, tgas: {} }\n  - name: y\n    tgas: {}\n';
  assert.deepEqual(
    checked(text).complaints.map(({ position }) => position?.line),
    [2, 4],
  );
});

const child = `children: [{ name: c, repositories: [line/a, other/*], passwords: ["${HASH}"] }]`;
const token = (expires: string) =>
  `tokens: [{ name: t, pull: "*", passwords: [{ hash: "${HASH}", expires: "${expires}" }] }]`;
const warnings: [what: string, text: string, warning: RegExp | undefined, mode?: number][] = [
  ['an ordinary document', 'name: a\nparent: { url: "https://above" }', undefined],
  [
    'a secret that everyone can read',
    'parent: { url: "https://above", username: a, passwordFile: p }',
    /^f:1:46: parent\.passwordFile \/etc\/terrace\/p can be read by every user of this machine: run chmod o-r \/etc\/terrace\/p$/,
    0o644,
  ],
  ['a secret of a group', 'parent: { url: "https://above", username: a, passwordFile: p }', undefined, 0o640],
  [
    'a key that everyone can read',
    'tls: { certificateFile: c, keyFile: k }',
    /^f:1:28: tls\.keyFile .* run chmod o-r/,
    0o644,
  ],
  [
    'a parent that is the layer itself',
    'listen: 127.0.0.1:5000\nparent: { url: "http://localhost:5000" }',
    /^f:2:11: parent\.url is the address of this layer/,
  ],
  ['another port of this machine', 'parent: { url: "http://localhost:5001" }', undefined],
  [
    'a password without TLS',
    'parent: { url: "http://above", username: a, passwordFile: p }',
    /^f:1:11: parent\.url sends the password unencrypted/,
  ],
  [
    'other machines without tokens',
    'listen: 0.0.0.0:5000',
    /^f:1:1: listen 0\.0\.0\.0:5000 accepts other machines, and the document has no tokens/,
  ],
  ['other machines with tokens', `listen: 0.0.0.0:5000\n${token('2031-01-01')}`, undefined],
  ['an entry twice', 'repositories: [a, b, a]', /^f:1:22: repositories\.2 is the same as repositories\.0/],
  [
    'a platform with a spelling error',
    'repositories: [{ name: a, platforms: [linux/amd65] }]',
    /^f:1:39: repositories\.0\.platforms\.0 "linux\/amd65" is no platform of images: did you mean linux\/amd64\?$/,
  ],
  [
    'a processor by another name',
    'repositories: [{ name: a, platforms: [linux/aarch64/v8] }]',
    /did you mean linux\/arm64\/v8\?$/,
  ],
  ['a known platform', 'repositories: [{ name: a, platforms: [linux/arm/v7] }]', undefined],
  [
    'rights to what the layer never has',
    `mode: ReadOnly\nparent: { url: "https://above" }\nrepositories: [line/*]\n${child}`,
    /^f:4:46: children\.0\.repositories\.1 "other\/\*" matches no repository of this layer/,
  ],
  [
    'the same in a layer to which clients push',
    `parent: { url: "https://above" }\nrepositories: [line/*]\n${child}`,
    undefined,
  ],
  [
    'events of what the layer never has',
    'mode: ReadOnly\nparent: { url: "https://above" }\nrepositories: [line/*]\nnotifications: { parent: ["line/*:push", "app:1:push"] }',
    /^f:4:42: notifications\.parent\.1 "app:1:push" matches no repository/,
  ],
  [
    'a password that is over',
    token('2029-12-31'),
    /^f:1:\d+: tokens\.0\.passwords\.0\.expires 2029-12-31 is over/,
  ],
];
for (const [what, text, warning, mode] of warnings) {
  test(`${what}: ${warning ? 'a warning' : 'no warning'}`, () => {
    const found = linesOf(text, mode);
    assert.deepEqual(found.complaints, []);
    assert.equal(found.warnings.length, warning ? 1 : 0, found.warnings.join('\n'));
    if (warning) assert.match(found.warnings[0] as string, warning);
  });
}

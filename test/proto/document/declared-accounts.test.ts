import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashPassword } from '#proto/accounts/password-hash.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';

const HASH = await hashPassword('a long password');
const resolve = (text: string) => resolveDocument({ text, folder: '/data', readable: () => true });
function accountsOf(text: string) {
  const resolved = resolve(text);
  assert.ok('accounts' in resolved, JSON.stringify(resolved));
  return resolved.accounts;
}
function refused(text: string, pattern: RegExp): void {
  const resolved = resolve(text);
  assert.ok('complaints' in resolved, text);
  assert.match(resolved.complaints.join('\n'), pattern);
}

test('tokens and children become accounts; their paths are relative to the document', () => {
  const text = `
tokens:
  - name: ci
    push: line/*
    pull: [base, other]
    passwords: ["${HASH}"]
  - { name: ops, enabled: false, scopeMap: _repositories_admin,
      passwords: [{ hash: "${HASH}", expires: "2031-01-31" }, { secretFile: secrets/ops }] }
children:
  - { name: line-1, mode: ReadWrite, repositories: line/*, passwords: [{ secretFile: /run/line-1 }] }`;
  const [ci, ops, child] = accountsOf(text);
  assert.deepEqual(ci, {
    name: 'ci',
    enabled: true,
    actions: [
      'repositories/base/content/read',
      'repositories/base/metadata/read',
      'repositories/other/content/read',
      'repositories/other/metadata/read',
      'repositories/line/*/content/read',
      'repositories/line/*/content/write',
      'repositories/line/*/metadata/read',
      'repositories/line/*/metadata/write',
    ],
    passwords: [{ hash: HASH }],
  });
  assert.deepEqual(ops, {
    name: 'ops',
    enabled: false,
    scopeMap: '_repositories_admin',
    passwords: [{ hash: HASH, expires: Date.UTC(2031, 0, 31) }, { secretFile: '/data/secrets/ops' }],
  });
  assert.ok(child?.actions?.includes('repositories/line/*/content/delete'));
  assert.ok(child?.actions?.includes('gateway/line-1/config/write'));
  assert.deepEqual(child?.passwords, [{ secretFile: '/run/line-1' }]);
  assert.deepEqual(accountsOf('name: x'), []);
});

test('a declared token may operate the layer', () => {
  const actions = (operate: string) =>
    accountsOf(`tokens: [{ name: t, ${operate}, passwords: ["${HASH}"] }]`)[0]?.actions;
  assert.deepEqual(actions('operate: read'), ['operate/read']);
  assert.deepEqual(actions('operate: write'), ['operate/read', 'operate/write']);
  assert.deepEqual(actions('pull: a, operate: read'), [
    'repositories/a/content/read',
    'repositories/a/metadata/read',
    'operate/read',
  ]);
  refused(`tokens: [{ name: t, operate: all, passwords: ["${HASH}"] }]`, /operate .*: write read or write/);
});

test('the configuration published on the bus contains no password hash', () => {
  const resolved = resolve(`tokens: [{ name: ci, pull: x, passwords: ["${HASH}"] }]`);
  assert.ok('configuration' in resolved);
  assert.doesNotMatch(JSON.stringify(resolved.configuration), /scrypt/);
});

test('a plain password is refused with a remedy and is not repeated', () => {
  for (const [entry, field] of [
    [
      '{ name: ci, pull: x, password: hunter2hunter2 }',
      /tokens\.0\.password: a document must not contain a password/,
    ],
    [
      '{ name: ci, pull: x, passwords: [hunter2hunter2] }',
      /tokens\.0\.passwords\.0 is not valid: write a list/,
    ],
    ['{ name: ci, pull: x, passwords: hunter2hunter2 }', /tokens\.0\.passwords is not valid: write a list/],
    [
      '{ name: ci, pull: x, passwords: [{ hash: hunter2hunter2 }] }',
      /tokens\.0\.passwords\.0\.hash is not valid/,
    ],
    [
      '{ name: ci, pull: x, passwords: [{ password: hunter2hunter2 }] }',
      /0\.passwords\.0\.password: a document must not/,
    ],
    ['{ name: ci, pull: x, passwords: { password1: hunter2hunter2 } }', /tokens\.0\.passwords is not valid/],
    ['hunter2hunter2', /tokens\.0 is not valid|tokens is not valid/],
  ] as const) {
    refused(`tokens: [${entry}]`, field);
    const resolved = resolve(`tokens: [${entry}]`);
    assert.doesNotMatch(JSON.stringify(resolved), /hunter2/);
  }
  refused('tokens: { name: ci, password: hunter2hunter2 }', /^tokens is not valid: write a list of mappings/);
  refused('parent: { url: "http://a", password: x }', /^parent\.password: .*write passwordFile/);
});

test('invalid or contradictory fields are refused by name', () => {
  const passwords = `passwords: ["${HASH}"]`;
  for (const [text, pattern] of [
    [`tokens: [{ name: ci, ${passwords} }]`, /^tokens\.0 needs either scopeMap or its own rights/],
    [`tokens: [{ name: ci, pull: x, scopeMap: y, ${passwords} }]`, /^tokens\.0 needs either scopeMap/],
    [`tokens: [{ name: ci, actions: [read], ${passwords} }]`, /^tokens\.0\.actions\.0: action "read"/],
    [
      `tokens: [{ name: ci, pull: X, ${passwords} }]`,
      /^tokens\.0\.pull "X" is not valid: write a repository/,
    ],
    ['tokens: [{ name: ci, pull: x }]', /^tokens\.0\.passwords is missing: write a list/],
    ['tokens: [{ name: ci, pull: x, passwords: [{}] }]', /passwords\.0 needs either hash or secretFile/],
    [`tokens: [{ name: ci, pull: x, passwords: [{ hash: "${HASH}", secretFile: y }] }]`, /needs either hash/],
    ['tokens: [{ name: ci, pull: x, passwords: [{ secretFile: y, expires: soon }] }]', /\.expires "soon"/],
    [
      `tokens: [{ name: ci, pull: x, nice: y, ${passwords} }]`,
      /tokens\.0\.nice is not a field: the fields are/,
    ],
    [`children: [{ name: A, repositories: x, ${passwords} }]`, /^children\.0\.name "A" is not valid/],
    [`children: [{ name: a, ${passwords} }]`, /^children\.0\.repositories is missing/],
    [
      `mode: ReadOnly\nchildren: [{ name: a, mode: Registry, repositories: x, ${passwords} }]`,
      /^children\.0\.mode Registry is not possible/,
    ],
    [
      `tokens: [{ name: a, pull: x, ${passwords} }]\nchildren: [{ name: a, repositories: x, ${passwords} }]`,
      /^children\.0\.name a is already the name of tokens\.0/,
    ],
  ] as const) {
    refused(text, pattern);
  }
  const declared = `children: [{ name: a, mode: ReadWrite, repositories: x, ${passwords} }]`;
  assert.equal(accountsOf(`parent: { url: http://up }\n${declared}`).length, 1, 'a layer without a mode');
});

test("a hash with other scrypt parameters than the product's is refused", () => {
  refused(
    `tokens: [{ name: a, pull: x, passwords: ["${HASH.replace('$14$', '$24$')}"] }]`,
    /0\.passwords\.0/,
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Overrides, resolveDocument } from '#proto/document/resolve/resolve.ts';

const readable = () => true;
const defaultFields: Overrides = {
  name: 'line-1',
  mode: 'ReadOnly',
  parent: { url: 'https://up.example', username: 'line-1', passwordFile: '/run/secret', caFile: '/run/ca' },
};

function configurationOf(text: string, defaults: Overrides = defaultFields, overrides: Overrides = {}) {
  const resolved = resolveDocument({ text, folder: '/data', overrides, defaults, readable });
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  return resolved.configuration;
}
const complaintsOf = (text: string) => {
  const resolved = resolveDocument({ text, folder: '/data', defaults: defaultFields, readable });
  return 'complaints' in resolved ? resolved.complaints : [];
};

test('defaults apply to fields that the document lacks; options override both', () => {
  const { name, mode, parent } = configurationOf('mode: ReadWrite');
  assert.deepEqual([name, mode, parent], ['line-1', 'ReadWrite', defaultFields.parent]);
  assert.equal(configurationOf('name: file', defaultFields, { name: 'option' }).name, 'option');
  assert.equal(configurationOf('', defaultFields, { name: 'option' }).name, 'option');
});

test("a parent's login is never used for another parent", () => {
  for (const url of [
    'https://other.example',
    'http://up.example',
    'https://up.example:8443',
    'https://up.example/x',
  ]) {
    assert.deepEqual(configurationOf(`parent: { url: "${url}" }`).parent, { url });
    assert.deepEqual(configurationOf('', defaultFields, { parent: { url } }).parent, { url });
  }
  const same = 'parent: { url: "https://UP.example:443/" }';
  assert.equal(configurationOf(same).parent?.passwordFile, '/run/secret');
  assert.equal(configurationOf('parent: { caFile: mine }').parent?.username, 'line-1');
  assert.equal(configurationOf('parent: { caFile: mine }').parent?.caFile, '/data/mine');
});

test('username and password come from the same source', () => {
  const { parent } = configurationOf('parent: { username: me, passwordFile: mine }');
  assert.deepEqual(parent, { ...defaultFields.parent, username: 'me', passwordFile: '/data/mine' });
  assert.match(complaintsOf('parent: { username: me }')[0] ?? '', /^parent.passwordFile is missing/);
});

test("the parent's client certificate and its key come from the same source, apart from the login", () => {
  const defaults: Overrides = {
    ...defaultFields,
    parent: { ...defaultFields.parent, certificateFile: '/run/crt', keyFile: '/run/key' },
  };
  const merged = (text: string) => configurationOf(text, defaults).parent;
  assert.deepEqual(merged('parent: { certificateFile: mine, keyFile: my.key }'), {
    ...defaultFields.parent,
    certificateFile: '/data/mine',
    keyFile: '/data/my.key',
  });
  const login = 'parent: { username: me, passwordFile: mine }';
  assert.deepEqual(merged(login), { ...defaults.parent, username: 'me', passwordFile: '/data/mine' });
  const text = 'parent: { certificateFile: mine }';
  const resolved = resolveDocument({ text, folder: '/data', defaults, readable });
  assert.ok('complaints' in resolved);
  assert.match(resolved.complaints.join(), /^parent\.keyFile is missing: name a PEM file/);
  const url = 'https://other.example';
  assert.deepEqual(merged(`parent: { url: "${url}" }`), { url });
});

test('an invalid parent gives a complaint and is not replaced by the default', () => {
  assert.match(complaintsOf('parent: up')[0] ?? '', /^parent "up" is not valid/);
  assert.match(complaintsOf('parent: { url: 7 }')[0] ?? '', /^parent.url 7 is not valid/);
});

test("a document that arrives after the start can't set fields that take effect at the start", () => {
  const late = (text: string) => resolveDocument({ text, late: true, defaults: defaultFields, readable });
  assert.ok('configuration' in late('mode: ReadWrite'));
  const refused = late('listen: 0.0.0.0:80\nsyncers: 2');
  assert.ok('complaints' in refused);
  assert.equal(refused.complaints.length, 2);
  assert.match(refused.complaints[0] ?? '', /^listen takes effect at the start, .* as an option/);
});

test('a complete document may be below another; the paths of each are relative to its own folder', () => {
  const resolved = resolveDocument({
    text: '{"mode":"ReadWrite","parent":{"caFile":"ca"}}',
    folder: '/data',
    lower: {
      text: [
        'mode: ReadOnly',
        'parent: { url: "https://file.example", username: f, passwordFile: p }',
        'tokens: [{ name: ci, pull: "*", passwords: [{ secretFile: s }] }]',
        'notifications: { webhooks: [{ url: "https://hook.example", secretFile: h }] }',
      ].join('\n'),
      folder: '/etc',
    },
    defaults: defaultFields,
    readable,
  });
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  const { mode, name, parent } = resolved.configuration;
  assert.deepEqual([mode, name], ['ReadWrite', 'line-1']);
  assert.deepEqual(parent, {
    url: 'https://file.example',
    username: 'f',
    passwordFile: '/etc/p',
    caFile: '/data/ca',
  });
  assert.deepEqual(resolved.accounts[0]?.passwords, [{ secretFile: '/etc/s' }]);
  assert.equal(resolved.configuration.notifications.webhooks[0]?.secretFile, '/etc/h');
});

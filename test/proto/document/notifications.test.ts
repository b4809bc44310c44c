import assert from 'node:assert/strict';
import { test } from 'node:test';
import { artifactOf } from '#proto/document/notification-patterns.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';

const resolve = (text: string, readable = true) =>
  resolveDocument({ text, folder: '/layer', readable: () => readable, holdsCertificate: () => readable });
const notificationsOf = (text: string) => {
  const resolved = resolve(text);
  if ('complaints' in resolved) throw new Error(resolved.complaints.join('\n'));
  return resolved.configuration.notifications;
};
const complaints = (text: string, readable = true) => {
  const resolved = resolve(text, readable);
  return 'complaints' in resolved ? resolved.complaints : [];
};

test('by default, all events are sent to the parent and there are no webhooks', () => {
  assert.deepEqual(notificationsOf(''), { webhooks: [] });
});

test('a webhook gets defaults, and its files are relative to the document', () => {
  const text = `
notifications:
  parent: []
  webhooks:
    - url: https://hooks.example:8443/a?b=c
      secretFile: secret
      caFile: /etc/ca.pem
    - { url: http://127.0.0.1:80/, name: line, match: ['line/*:push'], below: true }`;
  assert.deepEqual(notificationsOf(text), {
    parent: [],
    webhooks: [
      {
        url: 'https://hooks.example:8443/a?b=c',
        name: 'hooks.example:8443',
        match: ['*:*'],
        below: false,
        secretFile: '/layer/secret',
        caFile: '/etc/ca.pem',
      },
      { url: 'http://127.0.0.1:80/', name: 'line', match: ['line/*:push'], below: true },
    ],
  });
});

test('each complaint names the field and the remedy', () => {
  const hook = (fields: string) => `notifications: { webhooks: [{ ${fields} }] }`;
  const table: [string, RegExp][] = [
    ['notifications: yes please', /^notifications "yes please" is not valid: write a mapping/],
    [
      'notifications: { parents: [] }',
      /^notifications\.parents is not a field: did you mean notifications\.parent\?$/,
    ],
    ['notifications: { parent: "*:*" }', /^notifications\.parent "\*:\*" is not valid: write a list/],
    [
      'notifications: { parent: ["app:pull"] }',
      /^notifications\.parent\.0 "app:pull" is not valid: write a list/,
    ],
    [hook('name: x'), /^notifications\.webhooks\.0\.url is missing: write http/],
    [hook('url: "ftp://x/"'), /^notifications\.webhooks\.0\.url "ftp:.* is not valid: write http/],
    [hook('url: "http://[x/"'), /^notifications\.webhooks\.0\.url .* is not valid: write http/],
    [hook('url: "https://u:p@h/"'), /^notifications\.webhooks\.0\.url contains credentials: remove them/],
    [
      hook('url: "https://h/", match: [oh]'),
      /^notifications\.webhooks\.0\.match\.0 "oh" is not valid: write/,
    ],
    [
      hook('url: "https://h/", secret: abc'),
      /^notifications\.webhooks\.0\.secret is not a field: .*secretFile/,
    ],
    [
      hook('url: "https://h/", name: "a b"'),
      /^notifications\.webhooks\.0\.name "a b" is not valid: use letters/,
    ],
    [
      'notifications: { webhooks: [{ url: "https://h/a" }, { url: "https://h/b" }] }',
      /^notifications\.webhooks\.1\.name "h" is already the name of another webhook/,
    ],
  ];
  for (const [text, expected] of table) {
    const [first = '', ...rest] = complaints(text);
    assert.match(first, expected);
    assert.deepEqual(rest, []);
    assert.ok(!first.includes('u:p'));
  }
  assert.deepEqual(complaints(hook('url: "https://h/", secretFile: s, caFile: c'), false), [
    `notifications.webhooks.0.secretFile "/layer/s" can't be read: create that file, or name another one`,
    `notifications.webhooks.0.caFile "/layer/c" can't be read: create that file, or name another one`,
  ]);
});

test('an event is mapped to its artifact and action', () => {
  const digest = `sha256:${'1'.repeat(64)}`;
  const artifact = (type: string, fields: object) =>
    artifactOf({ type: `terrace.${type}`, data: { repository: 'app', ...fields } });
  const tag = { name: 'app', tag: 'v1', digest };
  const manifest = { name: 'app', tag: undefined, digest };
  assert.deepEqual(artifact('tag.moved', { tag: 'v1', digest }), { ...tag, action: 'push' });
  assert.deepEqual(artifact('tag.deleted', { tag: 'v1', from: digest }), { ...tag, action: 'delete' });
  const made = { digest, mediaType: 'application/json', size: 1 };
  assert.deepEqual(artifact('manifest.committed', made), { ...manifest, action: 'push' });
  assert.deepEqual(artifact('manifest.deleted', { digest, arrived: true }), {
    ...manifest,
    action: 'delete',
  });
  assert.equal(artifact('tag.moved', { tag: 'v1' }), undefined);
  assert.equal(artifact('blob.unlinked', { digest }), undefined);
});

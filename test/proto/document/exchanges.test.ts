import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Overrides, resolveDocument } from '#proto/document/resolve/resolve.ts';

const resolve = (text: string, overrides: Overrides = {}, readable = (_path: string) => true) =>
  resolveDocument({ text, folder: '/etc/terrace', overrides, readable });

function configurationOf(text: string, overrides?: Overrides) {
  const resolved = resolve(text, overrides);
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  return resolved.configuration;
}

function complaintsOf(text: string, readable?: (path: string) => boolean): string[] {
  const resolved = resolve(text, {}, readable);
  assert.ok('complaints' in resolved, 'the document is valid');
  return resolved.complaints;
}

test('a parent that is a folder is an exchange of archives, and no parent with a link', () => {
  const { parent, exchanges, repositories } = configurationOf(
    'parent: { folder: inbox, name: top, outbox: /media/outbox, verifyKeyFiles: [top.pub] }',
  );
  assert.equal(parent, undefined);
  assert.deepEqual(
    repositories.map(({ name }) => name),
    ['*'],
  );
  assert.deepEqual(exchanges, [
    {
      peer: 'top',
      side: 'child',
      inbox: '/etc/terrace/inbox',
      outbox: '/media/outbox',
      outboxSchedule: '0 * * * *',
      maxPartBytes: 4_000_000_000,
      verifyKeyFiles: ['/etc/terrace/top.pub'],
      repositories: [],
      mode: 'ReadWrite',
    },
  ]);
});

test('layers below have their folders; relative paths are those of the document', () => {
  const { exchanges } = configurationOf(`
exchanges:
  - { name: ship-7, inbox: from, outbox: to, signKeyFile: key.pem, maxPartSize: 64MiB, outboxSchedule: "*/5 * * * *" }
  - { name: ship-8, outbox: /media/ship-8, repositories: [line/*], mode: ReadOnly }`);
  assert.deepEqual(exchanges, [
    {
      peer: 'ship-7',
      side: 'parent',
      inbox: '/etc/terrace/from',
      outbox: '/etc/terrace/to',
      outboxSchedule: '*/5 * * * *',
      maxPartBytes: 64 * 2 ** 20,
      signKeyFile: '/etc/terrace/key.pem',
      verifyKeyFiles: [],
      repositories: ['*'],
      mode: 'ReadWrite',
    },
    {
      peer: 'ship-8',
      side: 'parent',
      outbox: '/media/ship-8',
      outboxSchedule: '0 * * * *',
      maxPartBytes: 4_000_000_000,
      verifyKeyFiles: [],
      repositories: ['line/*'],
      mode: 'ReadOnly',
    },
  ]);
});

test('without exchanges, the configuration has none', () => {
  assert.ok(!('exchanges' in configurationOf('parent: { url: "https://up.example" }')));
});

test('a URL on the command line replaces the folder of the document', () => {
  const { parent, exchanges } = configurationOf('parent: { folder: /in, name: top, outbox: /out }', {
    parent: { url: 'http://up.example' },
  });
  assert.deepEqual(parent, { url: 'http://up.example' });
  assert.equal(exchanges, undefined);
});

test('a folder in the document replaces the parent of the environment, and its login', () => {
  const resolved = resolveDocument({
    text: 'parent: { folder: /in }',
    folder: '/etc/terrace',
    overrides: {},
    defaults: { parent: { url: 'https://up.example', username: 'a', passwordFile: '/p' } },
    readable: () => true,
  });
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  assert.equal(resolved.configuration.parent, undefined);
});

const wrong: [document: string, ...complaints: RegExp[]][] = [
  ['parent: {}', /^parent\.url is missing: write https/],
  ['parent: { folder: /in, url: "http://a" }', /^parent\.folder is of no use beside parent\.url: /],
  [
    'parent: { url: "http://a", outbox: /out, maxPartSize: 1GB }',
    /^parent\.outbox is of no use without parent\.folder: /,
    /^parent\.maxPartSize is of no use without/,
  ],
  [
    'parent: { folder: /in, username: a, passwordFile: /p }',
    /^parent\.username is of no use with parent\.folder/,
    /^parent\.passwordFile is of no use with/,
  ],
  [
    'parent: { folder: /in, name: top, outbox: /in }',
    /^parent\.outbox "\/in" is also parent\.folder: name another folder/,
  ],
  [
    'parent: { folder: /in, outboxSchedule: hourly }',
    /^parent\.outboxSchedule "hourly" is not valid: write cron/,
  ],
  [
    'parent: { folder: /in, maxPartSize: 1MB }',
    /^parent\.maxPartSize "1MB" is not valid: write bytes, 16MiB or more/,
  ],
  ['parent: { folder: /in, outbox: /out }', /^parent\.name is missing: write the name of the layer above/],
  [
    '{ parent: { folder: /in }, repositories: [a, { name: b/*, platforms: [linux/arm64], conflict: layer-wins }] }',
    /^repositories\.1\.platforms is of no use with parent\.folder, as the layer above decides/,
  ],
  ['exchanges: [{ name: a }]', /^exchanges\.0 has neither inbox nor outbox: /],
  ['exchanges: [{ inbox: /in }]', /^exchanges\.0\.name is missing: /],
  [
    'exchanges: [{ name: a, inbox: /a }, { name: a, inbox: /b, outbox: /a }]',
    /^exchanges\.1\.name "a" is there twice/,
    /^exchanges\.1\.outbox "\/a" is also exchanges\.0\.inbox/,
  ],
];

for (const [document, ...expected] of wrong) {
  test(`complaints: ${document}`, () => {
    const complaints = complaintsOf(document);
    assert.equal(complaints.length, expected.length, complaints.join('\n'));
    for (const [at, pattern] of expected.entries()) assert.match(complaints[at] ?? '', pattern);
  });
}

test('keys that cannot be read are named', () => {
  const complaints = complaintsOf(
    'exchanges: [{ name: a, inbox: /in, signKeyFile: /k, verifyKeyFiles: [/v, /w] }]',
    (path) => path === '/v',
  );
  assert.deepEqual(
    complaints.map((complaint) => complaint.split(' ')[0]),
    ['exchanges.0.signKeyFile', 'exchanges.0.verifyKeyFiles.1'],
  );
});

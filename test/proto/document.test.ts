import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Overrides, resolveDocument } from '#proto/document.ts';

const resolve = (text: string, overrides: Overrides = {}, readable = () => true) =>
  resolveDocument({ text, folder: '/etc/terrace', overrides, readable });

function configurationOf(text: string, overrides?: Overrides) {
  const resolved = resolve(text, overrides);
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  return resolved.configuration;
}

test('nothing said: a layer of its own, on loopback', () => {
  for (const text of ['', '# nothing\n', '---\n', '{}']) {
    assert.deepEqual(configurationOf(text), {
      name: 'layer',
      listen: '127.0.0.1:5000',
      gateways: 1,
      trustedProxies: ['127.0.0.0/8', '::1/128'],
      challenge: 'Bearer',
      anonymousPull: [],
      mode: 'ReadWrite',
      repositories: [],
      schedule: '* * * * *',
      conflict: 'parent-wins',
      reserve: 512 * 2 ** 20,
      garbageCollection: {
        enabled: true,
        schedule: '0 0 * * *',
        graceMs: 3_600_000,
        uploadsMs: 86_400_000,
        transfersMs: 30 * 86_400_000,
      },
      scrub: { rate: 20_000_000 },
      syncers: 1,
      connections: 4,
      logLevel: 'info',
    });
  }
});

test('with a parent: all of it, to be read', () => {
  const { mode, repositories, parent } = configurationOf('parent: { url: "https://up.example/" }');
  assert.deepEqual([mode, repositories, parent], ['ReadOnly', ['*'], { url: 'https://up.example' }]);
  assert.deepEqual(configurationOf('{parent: {url: "http://a"}, repositories: []}').repositories, []);
});

test('modes by their older names', () => {
  assert.equal(configurationOf('mode: Registry').mode, 'ReadWrite');
  assert.equal(configurationOf('mode: Mirror').mode, 'ReadOnly');
});

test('options win over the file, field by field', () => {
  const text = 'name: file\nsyncers: 3\nparent: { url: "http://a", username: u, passwordFile: p }';
  const { name, syncers, parent } = configurationOf(text, { name: 'option', parent: { url: 'http://b' } });
  assert.deepEqual([name, syncers], ['option', 3]);
  assert.deepEqual(parent, { url: 'http://b', username: 'u', passwordFile: '/etc/terrace/p' });
});

test('a field with nothing behind its colon is left out', () => {
  assert.equal(configurationOf('name:\nparent:\n').name, 'layer');
});

test('amounts and durations, as a person writes them', () => {
  const { reserve, scrub, garbageCollection } = configurationOf(
    'reserve: 2GiB\nscrub: { rate: 1000, schedule: "0 3 * * 0" }\ngarbageCollection: { grace: PT90M, uploads: P1DT12H }',
  );
  assert.equal(reserve, 2 * 2 ** 30);
  assert.deepEqual(scrub, { rate: 1_000, schedule: '0 3 * * 0' });
  assert.deepEqual([garbageCollection.graceMs, garbageCollection.uploadsMs], [5_400_000, 129_600_000]);
});

test('the files of TLS, from the folder of the document', () => {
  const { tls } = configurationOf('tls: { certificateFile: tls/chain.pem, keyFile: /run/key.pem }');
  assert.deepEqual(tls, { certificateFile: '/etc/terrace/tls/chain.pem', keyFile: '/run/key.pem' });
});

const complaints: [text: string, field: RegExp, remedy: RegExp][] = [
  ['a: [', /document is not YAML/, /line 1/],
  ['- a', /document is not a mapping/, /write fields/],
  ['just words', /document is not a mapping/, /write fields/],
  ['colour: red', /^colour /, /the fields are name, listen/],
  ['name: A', /^name "A"/, /lower-case/],
  ['name: 5', /^name 5/, /lower-case/],
  ['reserve: lots', /^reserve "lots"/, /512MiB/],
  ['reserve: 5XB', /^reserve "5XB"/, /512MiB/],
  ['scrub: { rate: 0 }', /^scrub.rate 0/, /20MB/],
  ['scrub: { speed: 1 }', /^scrub.speed is not a field/, /scrub.schedule, scrub.rate/],
  ['garbageCollection: { schedule: never }', /^garbageCollection.schedule "never"/, /cron/],
  ['garbageCollection: { grace: P }', /^garbageCollection.grace "P"/, /ISO 8601/],
  ['garbageCollection: { grace: 1h }', /^garbageCollection.grace "1h"/, /ISO 8601/],
  ['trustedProxies: [10.0.0.0/33]', /^trustedProxies "10.0.0.0\/33"/, /networks/],
  ['trustedProxies: [10.0.0.0/8/9]', /^trustedProxies "10.0.0.0\/8\/9"/, /networks/],
  ['trustedProxies: ["fe80::1%eth0"]', /^trustedProxies "fe80::1%eth0"/, /networks/],
  ['anonymousPull: ["a*"]', /^anonymousPull(\.0)? "a\*"/, /prefix/],
  ['tls: { certificateFile: a }', /^tls.keyFile is missing/, /PEM/],
  ['challenge: Digest', /^challenge "Digest"/, /Bearer or Basic/],
  ['loginServer: "https://a"', /^loginServer/, /host:port/],
  ['listen: 5000', /^listen 5000/, /host:port/],
  ['listen: a:65536', /^listen "a:65536"/, /1 to 65535/],
  ['mode: readonly', /^mode "readonly"/, /ReadWrite or ReadOnly/],
  ['parent: http://a', /^parent "/, /mapping/],
  ['parent: { username: u }', /^parent\.url is missing/, /https:/],
  ['parent: { url: ftp://a }', /^parent\.url/, /https:/],
  ['parent: { url: http://a/path }', /^parent\.url/, /no path/],
  ['parent: { url: "http://u:p@a" }', /^parent\.url holds credentials/, /passwordFile/],
  ['parent: { url: "http://a:99999" }', /^parent\.url/, /https:/],
  ['parent: { url: http://a, user: u }', /^parent\.user /, /parent\.username/],
  ['parent: { url: http://a, username: u }', /^parent\.passwordFile is missing/, /name a file/],
  ['parent: { url: http://a, passwordFile: p }', /^parent\.username is missing/, /say whose/],
  ['repositories: a', /^repositories "a"/, /list/],
  ['repositories: [a, B]', /^repositories\.1 "B"/, /prefix/],
  ['repositories: [a..b]', /^repositories "a\.\.b"/, /prefix/],
  ['repositories: ["*/a"]', /^repositories\.0/, /prefix/],
  ['schedule: hourly', /^schedule/, /five fields/],
  ['schedule: "* * * * * *"', /^schedule/, /five fields/],
  ['schedule: "61 * * * *"', /^schedule/, /five fields/],
  ['schedule: "0 0 31 2 *"', /^schedule/, /five fields/],
  ['conflict: both', /^conflict/, /parent-wins/],
  ['syncers: 0', /^syncers 0/, /1 to 64/],
  ['connections: 1.5', /^connections 1\.5/, /1 to 64/],
  ['logLevel: loud', /^logLevel/, /debug, info/],
];
for (const [text, field, remedy] of complaints) {
  test(`refused: ${text}`, () => {
    const resolved = resolve(text);
    assert.ok('complaints' in resolved, JSON.stringify(resolved));
    assert.equal(resolved.complaints.length, 1, resolved.complaints.join('\n'));
    assert.match(resolved.complaints[0] as string, field);
    assert.match(resolved.complaints[0] as string, remedy);
  });
}

test('refused: a password file that cannot be read', () => {
  const resolved = resolve('parent: { url: http://a, username: u, passwordFile: p }', {}, () => false);
  assert.ok('complaints' in resolved);
  assert.match(resolved.complaints.join(), /^parent\.passwordFile "\/etc\/terrace\/p" can't be read/);
});

test('every field that is wrong is complained of', () => {
  const resolved = resolve('name: A\nsyncers: 0\ncolour: red');
  assert.ok('complaints' in resolved);
  assert.equal(resolved.complaints.length, 3);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Overrides, resolveDocument } from '#proto/document/resolve/resolve.ts';

const resolve = (text: string, overrides: Overrides = {}, readable = () => true) =>
  resolveDocument({ text, folder: '/etc/terrace', overrides, readable });

function configurationOf(text: string, overrides?: Overrides) {
  const resolved = resolve(text, overrides);
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  return resolved.configuration;
}

test('an empty document gives an independent layer on loopback', () => {
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
      eventTtlMs: 2 * 86_400_000,
      bandwidth: [],
      notifications: { webhooks: [] },
      reserve: 512 * 2 ** 20,
      garbageCollection: {
        enabled: true,
        schedule: '0 0 * * *',
        graceMs: 3_600_000,
        uploadsMs: 86_400_000,
        transfersMs: 30 * 86_400_000,
      },
      scrub: { rate: 20_000_000 },
      delta: { mode: 'auto', cache: 2 ** 31, scratch: 2 ** 34, timeMs: 900_000 },
      syncers: 1,
      connections: 32,
      logLevel: 'info',
    });
  }
});

test('with a parent, the default is ReadWrite and all repositories', () => {
  const { mode, repositories, parent } = configurationOf('parent: { url: "https://up.example/" }');
  const all = { name: '*', referrers: true, priority: 0, conflict: 'parent-wins' };
  assert.deepEqual([mode, repositories, parent], ['ReadWrite', [all], { url: 'https://up.example' }]);
  assert.deepEqual(configurationOf('{parent: {url: "http://a"}, repositories: []}').repositories, []);
});

test("a parent's address may have a path", () => {
  const url = (text: string) => configurationOf(`parent: { url: "${text}" }`).parent?.url;
  assert.equal(url('https://a.example/hosted/docker/key/'), 'https://a.example/hosted/docker/key');
  assert.equal(url('http://a:80/api/v2.0'), 'http://a:80/api/v2.0');
});

test('modes have older names', () => {
  assert.equal(configurationOf('mode: Registry').mode, 'ReadWrite');
  assert.equal(configurationOf('mode: Mirror').mode, 'ReadOnly');
});

test('options override the file field by field', () => {
  const text = 'name: file\nsyncers: 3\nparent: { url: "http://a", username: u, passwordFile: p }';
  const { name, syncers, parent } = configurationOf(text, { name: 'option', parent: { url: 'http://b' } });
  assert.deepEqual([name, syncers], ['option', 3]);
  assert.deepEqual(parent, { url: 'http://b', username: 'u', passwordFile: '/etc/terrace/p' });
});

test('a field without a value counts as absent', () => {
  assert.equal(configurationOf('name:\nparent:\n').name, 'layer');
});

test('sizes, rates and durations are parsed', () => {
  const { reserve, scrub, garbageCollection } = configurationOf(
    'reserve: 2GiB\nscrub: { rate: 1000, schedule: "0 3 * * 0" }\ngarbageCollection: { grace: PT90M, uploads: P1DT12H }',
  );
  assert.equal(reserve, 2 * 2 ** 30);
  assert.deepEqual(scrub, { rate: 1_000, schedule: '0 3 * * 0' });
  assert.deepEqual([garbageCollection.graceMs, garbageCollection.uploadsMs], [5_400_000, 129_600_000]);
});

test('a backup has a folder, which is relative to the document, and defaults', () => {
  const { backup } = configurationOf('backup: { target: b, rate: 20MB }');
  assert.equal(backup?.target, '/etc/terrace/b');
  assert.deepEqual([backup?.schedule, backup?.keep, backup?.rate], ['0 1 * * *', 7, 20_000_000]);
  assert.equal(configurationOf('').backup, undefined);
});

test('TLS files are relative to the document', () => {
  const { tls } = configurationOf('tls: { certificateFile: tls/chain.pem, keyFile: /run/key.pem }');
  assert.deepEqual(tls, { certificateFile: '/etc/terrace/tls/chain.pem', keyFile: '/run/key.pem' });
});

test('the selection of each repository is parsed', () => {
  const { repositories } = configurationOf(`
conflict: layer-wins
repositories:
  - base/*
  - name: app/web
    tags: { match: [v1.*, "!(*-rc*)"], regex: "v\\\\d.+", semver: ">=1.2 <2", latest: 5 }
    platforms: [linux/amd64, linux/arm/v7]
    referrers: [application/spdx+json]
    priority: 10
    conflict: parent-wins
  - name: "*"
    tags:
    referrers: false
`);
  assert.deepEqual(repositories, [
    { name: 'base/*', referrers: true, priority: 0, conflict: 'layer-wins' },
    {
      name: 'app/web',
      tags: { match: ['v1.*', '!(*-rc*)'], regex: 'v\\d.+', semver: '>=1.2 <2', latest: 5 },
      platforms: ['linux/amd64', 'linux/arm/v7'],
      referrers: ['application/spdx+json'],
      priority: 10,
      conflict: 'parent-wins',
    },
    { name: '*', referrers: false, priority: 0, conflict: 'layer-wins' },
  ]);
});

test('identical entries are merged', () => {
  assert.equal(configurationOf('repositories: [a, {name: a}]').repositories[0]?.name, 'a');
});

test('schedule, window and bandwidth limits are parsed', () => {
  const { schedule, windowMs, eventTtlMs, bandwidth } = configurationOf(`
schedule: "0 2 * * *"
window: PT2H
eventTtl: P90D
bandwidth:
  - { from: "22:30", to: "06:00", limit: 1.5Gbit }
  - { from: "08:00", to: "18:00", limit: 512 kbit/s }
  - limit: 2Mbit
`);
  assert.deepEqual([schedule, windowMs, eventTtlMs], ['0 2 * * *', 7_200_000, 90 * 86_400_000]);
  assert.deepEqual(bandwidth, [
    { from: 1350, to: 360, limit: 187_500_000 },
    { from: 480, to: 1080, limit: 64_000 },
    { limit: 250_000 },
  ]);
  assert.deepEqual(configurationOf('bandwidth: 8kbit').bandwidth, [{ limit: 1_000 }]);
});

test("the parent's certificate files are relative to the document and must contain certificates", () => {
  const { parent } = configurationOf(
    'parent: { url: "https://a", caFile: ca.pem, certificateFile: c.pem, keyFile: k.pem }',
  );
  assert.equal(parent?.caFile, '/etc/terrace/ca.pem');
  assert.deepEqual([parent?.certificateFile, parent?.keyFile], ['/etc/terrace/c.pem', '/etc/terrace/k.pem']);
  for (const fields of ['caFile: /ca.pem', 'certificateFile: /ca.pem, keyFile: /k.pem']) {
    const source = { text: `parent: { url: "https://a", ${fields} }`, readable: () => true };
    const resolved = resolveDocument({ ...source, holdsCertificate: () => false });
    assert.ok('complaints' in resolved);
    const [field = ''] = fields.split(':');
    const complaint = new RegExp(`^parent\\.${field} "/ca\\.pem" contains no certificate: .* PEM$`);
    assert.match(resolved.complaints.join(), complaint);
  }
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
  ['backup: { schedule: "0 1 * * *" }', /^backup.target is missing/, /path of a folder/],
  ['backup: { target: /b, schedule: never }', /^backup.schedule "never"/, /cron/],
  ['backup: { target: /b, keep: 0 }', /^backup.keep 0/, /whole number/],
  ['backup: { target: /b, rate: 0 }', /^backup.rate 0/, /20MB/],
  ['backup: { target: /b.tar }', /^backup.target "\/b.tar"/, /path of a folder/],
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
  ['parent: { url: "http://a/path?x" }', /^parent\.url/, /without \? and #/],
  ['parent: { url: "http://a/path#x" }', /^parent\.url/, /without \? and #/],
  ['parent: { url: http://a//b }', /^parent\.url/, /an optional path/],
  ['parent: { url: http://a/b/../c }', /^parent\.url/, /an optional path/],
  ['parent: { url: http://a/v2 }', /^parent\.url .* ends in \/v2/, /leave \/v2 out/],
  ['parent: { url: http://a/key/v2/ }', /^parent\.url .* ends in \/v2/, /leave \/v2 out/],
  [
    'parent: { url: http://a/v2/key }',
    /^parent\.url .* path below \/v2/,
    /leave \/v2\/key out, and select key/,
  ],
  [
    'parent: { url: "https://x.eu.data.azurecr.io/y" }',
    /no registry of Azure/,
    /write https:\/\/x\.azurecr\.io$/,
  ],
  ['parent: { url: "https://x.azurecr.io/y" }', /^parent\.url .* no registry of Azure/, /write https:\/\/x/],
  ['parent: { url: "http://u:p@a" }', /^parent\.url contains credentials/, /passwordFile/],
  ['parent: { url: "http://a:99999" }', /^parent\.url/, /https:/],
  ['parent: { url: http://a, user: u }', /^parent\.user /, /parent\.username/],
  ['parent: { url: http://a, username: u }', /^parent\.passwordFile is missing/, /name a file/],
  ['parent: { url: http://a, passwordFile: p }', /^parent\.username is missing/, /name the account/],
  ['parent: { url: https://a, certificateFile: c }', /^parent\.keyFile is missing/, /name a PEM file/],
  ['parent: { url: https://a, keyFile: k }', /^parent\.certificateFile is missing/, /name a PEM file/],
  [
    'parent: { url: http://a, certificateFile: c, keyFile: k }',
    /^parent\.certificateFile is of no use/,
    /https/,
  ],
  ['parent: { url: https://a, certificateFile: 5 }', /^parent\.certificateFile 5/, /client certificate/],
  ['repositories: a', /^repositories "a"/, /list/],
  ['repositories: [a, B]', /^repositories\.1 "B"/, /prefix/],
  ['repositories: [a..b]', /^repositories "a\.\.b"/, /prefix/],
  ['repositories: ["*/a"]', /^repositories\.0/, /prefix/],
  ['repositories: [{}]', /^repositories\.0\.name is missing/, /prefix/],
  ['repositories: [{ name: A }]', /^repositories\.0\.name "A"/, /prefix/],
  ['repositories: [{ name: a..b }]', /^repositories\.0\.name "a\.\.b"/, /prefix/],
  [
    'repositories: [a, { name: b, tgas: {} }]',
    /^repositories\.1\.tgas is not a field/,
    /did you mean repositories\.1\.tags\?/,
  ],
  ['repositories: [{ name: a, tags: v1 }]', /^repositories\.0\.tags "v1"/, /mapping/],
  [
    'repositories: [{ name: a, tags: { glob: v1 } }]',
    /^repositories\.0\.tags\.glob is not a field/,
    /tags\.match/,
  ],
  ['repositories: [{ name: a, tags: { match: v1 } }]', /^repositories\.0\.tags\.match "v1"/, /list of globs/],
  ['repositories: [{ name: a, tags: { match: [] } }]', /^repositories\.0\.tags\.match \[\]/, /list of globs/],
  ['repositories: [{ name: a, tags: { match: [a, "!b"] } }]', /tags\.match\.1 "!b"/, /list of globs/],
  ['repositories: [{ name: a, tags: { match: ["a[b"] } }]', /tags\.match\.0 "a\[b"/, /list of globs/],
  ['repositories: [{ name: a, tags: { match: [a/b] } }]', /tags\.match\.0 "a\/b"/, /list of globs/],
  ['repositories: [{ name: a, tags: { regex: "(" } }]', /tags\.regex "\(" .*missing closing \)/, /RE2/],
  [
    'repositories: [{ name: a, tags: { regex: "(?!.*-rc).*" } }]',
    /tags\.regex "\(\?!\.\*-rc\)\.\*" .*unsupported Perl syntax/,
    /match with !\(…\)/,
  ],
  ['repositories: [{ name: a, tags: { regex: "a)|(b" } }]', /tags\.regex "a\)\|\(b"/, /RE2/],
  ['repositories: [{ name: a, tags: { semver: new } }]', /^repositories\.0\.tags\.semver "new"/, /range/],
  ['repositories: [{ name: a, tags: { latest: 0 } }]', /^repositories\.0\.tags\.latest 0/, /at least 1/],
  [
    'repositories: [{ name: a, platforms: [amd64] }]',
    /^repositories\.0\.platforms\.0 "amd64"/,
    /linux\/arm64/,
  ],
  ['repositories: [{ name: a, platforms: [] }]', /^repositories\.0\.platforms \[\]/, /linux\/arm64/],
  ['repositories: [{ name: a, referrers: all }]', /^repositories\.0\.referrers "all"/, /true, false/],
  ['repositories: [{ name: a, referrers: [5] }]', /^repositories\.0\.referrers\.0 5/, /artifact types/],
  ['repositories: [{ name: a, priority: high }]', /^repositories\.0\.priority "high"/, /-1000 to 1000/],
  ['repositories: [{ name: a, conflict: both }]', /^repositories\.0\.conflict "both"/, /parent-wins/],
  [
    'repositories: [a, { name: a, priority: 1 }]',
    /^repositories\.1 is the second entry for "a"/,
    /merge the two/,
  ],
  ['window: PT1H', /^schedule is missing/, /window opens/],
  ['{ schedule: "0 2 * * *", window: PT59S }', /^window "PT59S"/, /PT1M to P7D/],
  ['{ schedule: "0 2 * * *", window: P8D }', /^window "P8D"/, /PT1M to P7D/],
  ['{ schedule: "0 2 * * *", window: 1h }', /^window "1h"/, /PT1M to P7D/],
  ['eventTtl: PT23H', /^eventTtl "PT23H"/, /P1D to P90D/],
  ['eventTtl: P91D', /^eventTtl "P91D"/, /P1D to P90D/],
  ['bandwidth: fast', /^bandwidth "fast"/, /2Mbit/],
  ['bandwidth: 2MB', /^bandwidth "2MB"/, /2Mbit/],
  ['bandwidth: 7kbit', /^bandwidth "7kbit"/, /8kbit or more/],
  ['bandwidth: 5', /^bandwidth 5/, /2Mbit/],
  ['bandwidth: [{ limit: 0bit }]', /^bandwidth\.0\.limit "0bit"/, /8kbit or more/],
  ['bandwidth: [{ from: "06:00", limit: 1Mbit }]', /^bandwidth\.0\.to is missing/, /both from and to/],
  ['bandwidth: [{ from: "06:00", to: "06:00", limit: 1Mbit }]', /^bandwidth\.0\.to "06:00"/, /remove both/],
  ['bandwidth: [{ from: "6:00", to: "23:00", limit: 1Mbit }]', /^bandwidth\.0\.from "6:00"/, /"06:00"/],
  ['bandwidth: [{ rate: 1Mbit, limit: 1Mbit }]', /^bandwidth\.0\.rate is not a field/, /bandwidth\.limit/],
  ['parent: { url: http://a, caFile: 5 }', /^parent\.caFile 5/, /PEM/],
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
  test(`a document is refused: ${text}`, () => {
    const resolved = resolve(text);
    assert.ok('complaints' in resolved, JSON.stringify(resolved));
    assert.equal(resolved.complaints.length, 1, resolved.complaints.join('\n'));
    assert.match(resolved.complaints[0] as string, field);
    assert.match(resolved.complaints[0] as string, remedy);
  });
}

test("a password file that can't be read is refused", () => {
  const resolved = resolve('parent: { url: http://a, username: u, passwordFile: p }', {}, () => false);
  assert.ok('complaints' in resolved);
  assert.match(resolved.complaints.join(), /^parent\.passwordFile "\/etc\/terrace\/p" can't be read/);
});

test('every invalid field has its own complaint', () => {
  const resolved = resolve('name: A\nsyncers: 0\ncolour: red');
  assert.ok('complaints' in resolved);
  assert.equal(resolved.complaints.length, 3);
});

test('the terms of the connected registry are synonyms', () => {
  const configuration = configurationOf(
    'schedule: "0 9 * * *"\nsyncWindow: PT3H\nmessageTtl: P3D\nlogLevel: Information',
  );
  assert.deepEqual(
    [configuration.windowMs, configuration.eventTtlMs, configuration.logLevel],
    [3 * 3_600_000, 3 * 86_400_000, 'info'],
  );
  assert.equal(configurationOf('logLevel: None').logLevel, 'fatal');
  assert.equal(configurationOf('logLevel: Warning').logLevel, 'warn');
  assert.equal(configurationOf('eventTtl: P4D\nmessageTtl: P3D').eventTtlMs, 4 * 86_400_000);
  for (const [text, pattern] of [
    ['messageTtl: PT1H', /^messageTtl "PT1H" is not valid: .* P1D to P90D/],
    ['syncWindow: PT1H', /^schedule is missing/],
    ['schedule: "0 9 * * *"\nsyncWindow: P8D', /^syncWindow "P8D" is not valid/],
  ] as const) {
    const resolved = resolve(text);
    assert.match('complaints' in resolved ? resolved.complaints.join() : '', pattern);
  }
});

test('operators may have a listener of their own', () => {
  const resolve = (text: string) => resolveDocument({ text, folder: '/', readable: () => true });
  const resolved = resolve('operate: { listen: "127.0.0.1:5001" }');
  assert.deepEqual('configuration' in resolved && resolved.configuration.operate, {
    listen: '127.0.0.1:5001',
  });
  for (const wrong of ['operate: { listen: 5001 }', 'operate: { port: 1 }', 'operate: 1']) {
    assert.ok('complaints' in resolve(wrong), wrong);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { passwordToRotate, type Token } from '#proto/accounts/accounts.ts';
import { check } from '#proto/contract/contract.ts';
import { type Configuration, Configuration as Schema } from '#proto/document/configuration.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import { accountName } from '../../../cli/input/account-name.ts';
import { expiryOf } from '../../../cli/input/expiry.ts';
import { describeActions, requestedActions } from '../../../cli/input/permission-options.ts';
import { Refusal } from '../../../cli/terminal/refusal.ts';
import { describeTokens, loginCommand } from '../../../cli/text/token-text.ts';
import { describeGarbage } from '../../../cli/text/upkeep/garbage-text.ts';
import { describeScrub } from '../../../cli/text/upkeep/scrub-text.ts';
import { welcome } from '../../../cli/text/welcome.ts';

const DAY = 86_400_000;
const now = Date.UTC(2030, 0, 1);
const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof Refusal && error.exitCode === 2 && pattern.test(error.message);

test('a password expires after a duration or at a date', () => {
  assert.equal(expiryOf('P90D', now), now + 90 * DAY);
  assert.equal(expiryOf('PT1S', now), now + 1_000);
  assert.equal(expiryOf('2031-01-31', now), Date.UTC(2031, 0, 31));
  assert.equal(expiryOf('2031-01-31T12:00Z', now), Date.UTC(2031, 0, 31, 12));
  assert.equal(expiryOf('2031-01-31T12:00:00+02:00', now), Date.UTC(2031, 0, 31, 10));
  for (const text of ['', '90', 'never', '2031-13-01', '2031', 'P1Y', '2031-01-31T12:00', '31.1.2031']) {
    assert.throws(
      () => expiryOf(text, now),
      refused(/^--expires ".*" is not valid: .*P90D.*2027-01-31/),
      text,
    );
  }
  for (const text of ['2029-12-31', '2030-01-01', 'PT0S']) {
    assert.throws(() => expiryOf(text, now), refused(/is in the past: write a time in the future/), text);
  }
});

test('short options stand for actions, each of which is listed once', () => {
  assert.equal(requestedActions({}), undefined);
  assert.deepEqual(requestedActions({ pull: ['a/*'] }), [
    'repositories/a/*/content/read',
    'repositories/a/*/metadata/read',
  ]);
  assert.deepEqual(
    requestedActions({ pull: ['a'], push: ['a'], delete: ['a'], action: ['gateway/c/config/read'] }),
    [
      'gateway/c/config/read',
      'repositories/a/content/read',
      'repositories/a/metadata/read',
      'repositories/a/content/write',
      'repositories/a/metadata/write',
      'repositories/a/content/delete',
    ],
  );
});

test('actions are described by the short options', () => {
  const all = requestedActions({
    pull: ['p', '*'],
    push: ['a/*'],
    delete: ['a/*', 'd'],
    action: ['gateway/c/config/read'],
  });
  const others = ['repositories/o/content/read', 'repositories/repositories/x/metadata/write'];
  assert.deepEqual(describeActions([...(all ?? []), ...others]), [
    ['p', 'pull'],
    ['*', 'pull'],
    ['a/*', 'push, delete'],
    ['d', 'delete'],
    ['o', 'content/read'],
    ['repositories/x', 'metadata/write'],
    ['gateway/c/config/read', ''],
  ]);
});

const tokenWith = (...passwords: Token['passwords']): Token => ({
  name: 't',
  enabled: true,
  scopeMap: 'm',
  created: now,
  passwords,
});
const password1 = { name: 'password1', created: now - 2 } as const;
const password2 = { name: 'password2', created: now - 1 } as const;

test('rotation replaces a missing or expired password, otherwise the older one', () => {
  assert.equal(passwordToRotate(tokenWith(), now), 'password1');
  assert.equal(passwordToRotate(tokenWith(password1), now), 'password2');
  assert.equal(passwordToRotate(tokenWith(password2), now), 'password1');
  assert.equal(passwordToRotate(tokenWith(password1, password2), now), 'password1');
  assert.equal(passwordToRotate(tokenWith({ ...password1, created: now }, password2), now), 'password2');
  assert.equal(passwordToRotate(tokenWith(password1, { ...password2, expires: now }), now), 'password2');
  assert.equal(passwordToRotate(tokenWith(password1, { ...password2, expires: now + 1 }), now), 'password1');
});

test('tokens are shown in a table', () => {
  const token = tokenWith({ ...password1, expires: now - 1 }, password2);
  const text = describeTokens([token, { ...tokenWith(), name: 'other', enabled: false }], now);
  assert.deepEqual(text.split('\n'), [
    'NAME   STATE     SCOPE MAP  PASSWORDS',
    't      enabled   m          password1 expired 2029-12-31T23:59Z, password2 never expires',
    'other  disabled  m          none',
  ]);
  assert.equal(describeTokens([], now), 'No tokens.');
});

test('the name of an account is validated before any request', () => {
  for (const name of ['a', 'line-1', 'A.b_c', 'x'.repeat(64)]) assert.equal(accountName(name), name);
  for (const name of ['', '-a', 'a-', '_a', 'a b', 'ä', 'x'.repeat(65)]) {
    assert.throws(() => accountName(name), refused(/^name ".*" is not valid: use letters/), name);
  }
  assert.equal(accountName('_repositories_pull', '--scope-map'), '_repositories_pull');
});

function configured(document: string): Configuration {
  const resolved = resolveDocument({ text: document, readable: () => true });
  assert.ok('configuration' in resolved);
  return check(Schema, resolved.configuration);
}

test('the welcome text shows commands that fit the address and configuration of the layer', () => {
  const welcomeText = (document: string, tokens = 0) =>
    welcome({ data: '/d', configuration: configured(document), tokens, open: true, ms: 1_234 });
  const plain = welcomeText('listen: 127.0.0.1:5000');
  assert.match(plain, /at http:\/\/127\.0\.0\.1:5000 \(ReadWrite\); started in 1\.2 s/);
  assert.match(plain, /page +http:\/\/127\.0\.0\.1:5000\/\n/);
  assert.match(welcomeText('operate: { listen: "127.0.0.1:9443" }'), /page +http:\/\/127\.0\.0\.1:9443\/\n/);
  assert.match(plain, /push +podman push --tls-verify=false IMAGE 127\.0\.0\.1:5000\/hello:1/);
  const ofChild = (...names: string[]) =>
    welcomeText(
      `mode: ReadWrite\nparent: { url: https://up.example }\nrepositories: ${JSON.stringify(names)}`,
    );
  assert.match(
    ofChild('app/*', 'base'),
    /push .*127\.0\.0\.1:5000\/app\/hello:1/,
    'a repository that is pushed to the parent',
  );
  assert.match(ofChild('base', '*'), /push .*127\.0\.0\.1:5000\/hello:1/);
  assert.match(ofChild('base'), /push .*127\.0\.0\.1:5000\/base:1/);
  assert.match(plain, /No accounts.*\n(?:.*\n)*.*terrace token create NAME --push '\*' --data \/d/);
  const secure = welcomeText(
    'listen: 0.0.0.0:443\nloginServer: registry.example\ntls: { certificateFile: /a, keyFile: /b }',
    2,
  );
  assert.match(secure, /at https:\/\/0\.0\.0\.0:443 /);
  assert.match(secure, /Clients log in: 2 tokens\./);
  assert.match(secure, /login +podman login registry\.example -u TOKEN/);
  assert.match(secure, /pull +podman pull registry\.example\/hello:1/);
  assert.doesNotMatch(secure, /tls-verify|token create|No TLS/);
  assert.doesNotMatch(plain, /No TLS/);
  assert.match(welcomeText('listen: 0.0.0.0:5000', 1), /^No TLS: passwords cross the network unencrypted/m);
  assert.equal(
    loginCommand('t', configured('listen: 0.0.0.0:5000')),
    'podman login --tls-verify=false HOST:5000 -u t',
  );
});

test('results of garbage collection and of a scrub are described in sentences', () => {
  const none = {
    dryRun: false,
    links: 0,
    blobs: 0,
    bytes: 0,
    ingests: 0,
    repositories: 0,
    strays: 0,
    ms: 10,
  };
  assert.equal(describeGarbage(none), 'Nothing to delete (checked in 0 s).');
  assert.equal(
    describeGarbage({ ...none, blobs: 1, ingests: 2, repositories: 2, bytes: 5_000_000, ms: 2_000 }),
    'Deleted 1 unreferenced blob, 2 abandoned ingests, 2 empty repositories: 5.0 MB, in 2 s.',
  );
  assert.equal(
    describeGarbage({ ...none, dryRun: true, strays: 1, bytes: 7 }),
    'Would delete 1 stray file: 7 B (checked in 0 s).',
  );
  assert.equal(
    describeScrub({ checked: 2, bytes: 3_000, damaged: [], ms: 1_000 }),
    'Checked 2 blobs, 3.0 kB, in 1 s: all intact.',
  );
  assert.match(
    describeScrub({ checked: 2, bytes: 3_000, damaged: ['sha256:00'], ms: 1_000 }),
    /1 damaged, moved to the folder quarantine:\n {2}sha256:00$/,
  );
});

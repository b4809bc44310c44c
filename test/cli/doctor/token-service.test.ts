import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Acr, ALL } from '../../support/azure/acr.ts';
import { Authority } from '../../support/certificates.ts';
import { pushImage } from '../../support/registry/image.ts';
import { faultsOf, onlyFault, StoppedLayer, warningsOf } from './examined.ts';

/** A registry with a token service, and with blobs on another host. */

test('tokens are obtained for each scope, and blobs are tried on the host that has them', async () => {
  const account = { username: 'plant', password: 'a password of the registry' };
  const reader = { username: 'reader', password: 'another password' };
  await using authority = await Authority.create();
  const holders = [
    { account, rights: ALL },
    { account: reader, rights: { '**': ['pull', 'metadata_read'] } },
  ];
  await using acr = await Acr.start({ authority, holders });
  await pushImage(acr.backendUrl, 'line/motor', 'v1');
  await using layer = await StoppedLayer.create();
  const examine = async ({ username, password }: typeof account, ...more: string[]) => {
    const file = await layer.write('secret', password);
    const parent = ['--parent', acr.url, '--parent-ca', authority.certificate, '--repository', 'line/*'];
    return layer.examine(...parent, '--parent-username', username, '--parent-password-file', file, ...more);
  };

  const { report } = await examine(account);
  assert.deepEqual(faultsOf(report), []);
  assert.deepEqual(warningsOf(report), []);
  const abouts = Object.fromEntries(report.checks.map(({ check, about }) => [check, about]));
  assert.equal(abouts['parent-login'], 'as plant (Bearer)');
  assert.equal(abouts['parent-rights'], 'may list, pull, push');
  assert.match(
    abouts['parent-content'] ?? '',
    /^blobs come from 127\.0\.0\.1:\d+, by ranges: transfers resume$/,
  );

  acr.clearRequests();
  const wrong = await examine({ ...account, password: 'a wrong password' });
  onlyFault(wrong, 'parent-login', /rejects the login as plant \(401: UNAUTHORIZED/, /parent\.passwordFile/);
  // Registries count wrong passwords.
  assert.equal(acr.requestLines().filter((line) => /oauth2/.test(line)).length, 1);

  onlyFault(
    await examine(reader),
    'parent-rights',
    /the login reader may not push to line\/motor/,
    /set mode to ReadOnly/,
  );
  assert.deepEqual(faultsOf((await examine(reader, '--mode', 'ReadOnly')).report), []);
});

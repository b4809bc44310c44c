import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAzure, loginServerOf } from '#proto/document/azure.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';

const resolved = (text: string) =>
  resolveDocument({ text, folder: '/etc/terrace', readable: (path) => !path.includes('missing') });
const complaints = (parent: string) => {
  const found = resolved(`parent: ${parent}`);
  return 'complaints' in found ? found.complaints : [];
};
const URL_FIELD = 'url: https://registry.azurecr.io';

test('every credential is accepted, and its paths are relative to the document', () => {
  for (const azure of [
    '{}',
    '{credential: managed-identity, clientId: a}',
    '{credential: workload-identity, tokenFile: token}',
    '{credential: cli, tenantId: t}',
    '{credential: default, authorityHost: https://login.microsoftonline.us}',
  ]) {
    assert.deepEqual(complaints(`{${URL_FIELD}, azure: ${azure}}`), [], azure);
  }
  const found = resolved(
    `parent: {${URL_FIELD}, azure: {clientId: a, tenantId: t, clientSecretFile: secret}}`,
  );
  assert.ok('configuration' in found);
  assert.equal(found.configuration.parent?.azure?.clientSecretFile, '/etc/terrace/secret');
});

test('each complaint names the field and the remedy', () => {
  for (const [parent, expected] of [
    [
      `{${URL_FIELD}, azure: {}, username: a, passwordFile: p}`,
      /^parent\.azure and parent\.username .* remove one/,
    ],
    [`{url: http://localhost, azure: {}}`, /^parent\.url must begin with https:/],
    [
      `{${URL_FIELD}, azure: {credential: password}}`,
      /^parent\.azure\.credential "password" is not valid: write/,
    ],
    [
      `{${URL_FIELD}, azure: {credential: service-principal, clientId: a, tenantId: t}}`,
      /clientSecretFile is missing: write/,
    ],
    [
      `{${URL_FIELD}, azure: {credential: cli, clientSecretFile: a}}`,
      /clientSecretFile does not apply to cli: remove/,
    ],
    [`{${URL_FIELD}, azure: {credential: cli, tokenFile: a}}`, /tokenFile does not apply to cli: remove/],
    [`{${URL_FIELD}, azure: {tokenFile: missing}}`, /tokenFile ".*missing" can't be read: create/],
    [
      `{${URL_FIELD}, azure: {authorityHost: login.example}}`,
      /authorityHost "login.example" is not valid: write/,
    ],
    [
      `{${URL_FIELD}, azure: {secret: a}}`,
      /^parent\.azure\.secret is not a field: the fields are parent\.azure\.credential/,
    ],
  ] as const) {
    const found = complaints(parent);
    assert.ok(
      found.some((complaint) => expected.test(complaint)),
      `${parent}\n${found.join('\n')}`,
    );
  }
});

test('an Azure registry is recognized by its host name, and a data endpoint is mapped to its login server', () => {
  assert.ok(isAzure({ url: 'https://shop.azurecr.io' }));
  assert.ok(isAzure({ url: 'https://shop.azurecr.cn' }));
  assert.ok(isAzure({ url: 'https://registry.example', azure: {} }));
  assert.ok(!isAzure({ url: 'https://registry.example' }));
  assert.ok(!isAzure({ url: 'https://azurecr.io.registry.example' }));
  assert.equal(loginServerOf('https://shop.westeurope.data.azurecr.io'), 'https://shop.azurecr.io');
  assert.equal(loginServerOf('https://shop.westeurope.data.azurecr.us:8443'), 'https://shop.azurecr.us:8443');
  assert.equal(loginServerOf('https://registry.example'), 'https://registry.example');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { parseConnectionString } from '#proto/document/resolve/connection-string.ts';

const cloud =
  'ConnectedRegistryName=MyRegistry;SyncTokenName=myregistry-sync;SyncTokenPassword=a+b/c==;ParentGatewayEndpoint=contoso.westeurope.data.azurecr.io;ParentEndpointProtocol=https';
const nested =
  'ConnectedRegistryName=line1;SyncTokenName=line1;SyncTokenPassword=p=;ParentGatewayEndpoint=$IOTEDGE_PARENTHOSTNAME:8000;ParentEndpointProtocol=https';

test('the parent is the login server in the cloud, and a password is all that follows the first =', () => {
  assert.deepEqual(parseConnectionString(cloud), {
    name: 'myregistry',
    url: 'https://contoso.azurecr.io',
    login: { username: 'myregistry-sync', password: 'a+b/c==' },
  });
});

test('the order of keys is free, and byte order marks and line breaks are ignored', () => {
  const reordered = `\uFEFF${cloud.split(';').reverse().join(';\r\n')};\r\n`;
  assert.deepEqual(parseConnectionString(reordered), parseConnectionString(cloud));
});

test('variables in the endpoint are expanded in both forms, and ACR_PARENT_GATEWAY_ENDPOINT overrides it', () => {
  const env = { IOTEDGE_PARENTHOSTNAME: 'upper.example', PORT: '8000' };
  assert.equal(parseConnectionString(nested, env).url, 'https://upper.example:8000');
  const braced = nested.replace('$IOTEDGE_PARENTHOSTNAME:8000', `\${IOTEDGE_PARENTHOSTNAME}:$PORT`);
  assert.equal(parseConnectionString(braced, env).url, 'https://upper.example:8000');
  assert.equal(parseConnectionString(nested, {}, '10.0.0.4:443').url, 'https://10.0.0.4:443');
  assert.equal(
    parseConnectionString(cloud.replace('=https', '=http'), {}).url,
    'https://contoso.azurecr.io',
    'never without TLS to the cloud',
  );
  const plain = nested.replace('=https', '=http');
  assert.equal(parseConnectionString(plain, env).url, 'http://upper.example:8000');
});

test('a managed identity replaces the sync token', () => {
  const text = cloud.replace(/SyncTokenName.*?;SyncTokenPassword.*?;/, 'ManagedIdentityClientId=1-2-3;');
  assert.deepEqual(parseConnectionString(text).login, { clientId: '1-2-3' });
});

test('a registry name is converted to a layer name', () => {
  const named = (name: string) => parseConnectionString(cloud.replace('MyRegistry', name)).name;
  assert.equal(named('Line_7.West'), 'line-7-west');
  assert.equal(named('-A-'), 'a');
});

const rows: [string, (text: string) => string, RegExp][] = [
  ['no name', (text) => text.replace(/ConnectedRegistryName=\w+;/, ''), /lacks ConnectedRegistryName/],
  ['no token', (text) => text.replace(/SyncTokenName=[^;]+;/, ''), /lacks SyncTokenName/],
  [
    'no password',
    (text) => text.replace(/SyncTokenPassword=[^;]+/, 'SyncTokenPassword='),
    /lacks SyncTokenPassword/,
  ],
  ['no parent', (text) => text.replace(/ParentGatewayEndpoint=[^;]+;/, ''), /lacks ParentGatewayEndpoint/],
  ['a key', (text) => `${text};Colour=red`, /has Colour, which is unknown: the keys are Connected/],
  ['a bare piece', (text) => `${text};secret-piece`, /has a part that is not Key=value, which is unknown/],
  ['twice', (text) => `${text};SyncTokenName=b`, /has SyncTokenName twice/],
  ['both', (text) => `${text};ManagedIdentityClientId=1`, /has both SyncTokenName .* remove one/],
  [
    'a path',
    (text) => text.replace('.io', '.io/path'),
    /ParentGatewayEndpoint that is not valid: write host/,
  ],
  [
    'no scheme',
    (text) => text.replace(/contoso[^;]*/, 'upper:8000').replace(/;ParentEndpointProtocol.*/, ''),
    /lacks ParentEndpointProtocol/,
  ],
  [
    'a scheme',
    (text) => text.replace(/contoso[^;]*/, 'upper:8000').replace('=https', '=ftp'),
    /ParentEndpointProtocol that is not valid: write http or https/,
  ],
];

test('a fault names the invalid key and never contains a password', () => {
  for (const [name, change, expected] of rows) {
    assert.throws(
      () => parseConnectionString(change(cloud)),
      (error: unknown) =>
        Fault.is(error, 'config-invalid') &&
        expected.test(error.message) &&
        /^ACR_REGISTRY_CONNECTION_STRING /.test(error.message) &&
        !/a\+b|secret-piece/.test(error.message),
      name,
    );
  }
  assert.throws(() => parseConnectionString(nested), /uses \$IOTEDGE_PARENTHOSTNAME .* is not set/);
});

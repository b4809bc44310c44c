import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  environmentDefaults,
  environmentFields,
  isClosed,
} from '#proto/document/resolve/module-environment.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import { dataOf } from '../../../cli/data/data-option.ts';
import { environmentOf, withoutSecrets } from '../../../cli/input/environment-defaults.ts';
import { Refusal } from '../../../cli/terminal/refusal.ts';

const connection =
  'ConnectedRegistryName=Line1;SyncTokenName=line1;SyncTokenPassword=s3cret==;ParentGatewayEndpoint=upper:8000;ParentEndpointProtocol=https';
const env = { ACR_REGISTRY_CONNECTION_STRING: connection };
const all = () => true;
const none = () => false;

test('a connection string gives a layer that listens on all interfaces and requires a token', () => {
  const { fields, password } = environmentFields(env, '/data', none);
  assert.deepEqual(fields, {
    listen: '0.0.0.0:8080',
    name: 'line1',
    parent: { url: 'https://upper:8000', username: 'line1', passwordFile: '/data/parent.password' },
  });
  assert.equal(password, 's3cret==');
  const resolved = resolveDocument({ defaults: fields, readable: all });
  assert.ok('configuration' in resolved);
  assert.equal(resolved.configuration.mode, 'ReadWrite');
  assert.ok(isClosed(env) && !isClosed({}));
});

test('in a container, a layer listens on all interfaces, unless its address is set', () => {
  const listenIn = (more: NodeJS.ProcessEnv) =>
    environmentFields({ TERRACE_CONTAINER: '1', ...more }, '/data', none).fields.listen;
  assert.equal(listenIn({}), '0.0.0.0:5000');
  assert.equal(listenIn(env), '0.0.0.0:8080');
  assert.equal(listenIn({ TERRACE_LISTEN: '127.0.0.1:7000' }), '127.0.0.1:7000');
  assert.equal(environmentFields({}, '/data', none).fields.listen, undefined);
});

test('a managed identity in the connection string is the login to the registry in the cloud', () => {
  const text =
    'ConnectedRegistryName=line1;ManagedIdentityClientId=1-2-3;ParentGatewayEndpoint=contoso.westeurope.data.azurecr.io;ParentEndpointProtocol=https';
  const { fields, password } = environmentFields({ ACR_REGISTRY_CONNECTION_STRING: text }, '/data', none);
  assert.equal(password, undefined);
  const resolved = resolveDocument({ defaults: fields, readable: all });
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  assert.deepEqual(resolved.configuration.parent, {
    url: 'https://contoso.azurecr.io',
    azure: { credential: 'managed-identity', clientId: '1-2-3' },
  });
});

test('certificates are used if they exist, and the networks of containers are trusted proxies', () => {
  const { fields } = environmentFields({ ...env, IOTEDGE_MODULEID: 'terrace' }, '/data', all);
  assert.equal(fields.tls?.certificateFile, '/var/acr/certs/tls.crt');
  assert.ok(
    fields.trustedProxies?.includes('172.16.0.0/12') && fields.trustedProxies.includes('127.0.0.0/8'),
  );
  const other = { ACR_REGISTRY_CERTIFICATE_VOLUME: '/c', ACR_REGISTRY_LOGIN_SERVER: 'a.example:8443' };
  assert.deepEqual(environmentFields(other, '/data', all).fields, {
    loginServer: 'a.example:8443',
    tls: { certificateFile: '/c/tls.crt', keyFile: '/c/tls.key' },
  });
  assert.deepEqual(environmentFields(other, '/data', none).fields, { loginServer: 'a.example:8443' });
  assert.deepEqual(
    environmentFields({ TERRACE_MODE: 'Registry', TERRACE_LISTEN: '[::]:80' }, '/', none).fields,
    {
      listen: '[::]:80',
      mode: 'Registry',
    },
  );
});

test('a document overrides the environment, and its login applies to its own parent only', () => {
  const { fields: defaults } = environmentFields(env, '/data', none);
  const resolved = (text: string) => {
    const found = resolveDocument({ text, defaults, readable: all });
    assert.ok('configuration' in found, JSON.stringify(found));
    return found.configuration;
  };
  assert.equal(resolved('mode: ReadWrite').parent?.passwordFile, '/data/parent.password');
  assert.deepEqual(resolved('parent: { url: "https://other" }').parent, { url: 'https://other' });
});

test('the password is written to a file for its owner only, kept up to date, and removed from the environment', async () => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-environment-'));
  try {
    const file = join(data, 'parent.password');
    await writeFile(file, 's3cret==', { mode: 0o644 });
    assert.equal(environmentDefaults(env, data, none).parent?.passwordFile, file);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    environmentDefaults({ ACR_REGISTRY_CONNECTION_STRING: connection.replace('s3cret', 'n3w') }, data, none);
    assert.equal(await readFile(file, 'utf8'), 'n3w==');
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(data), ['parent.password']);
    assert.doesNotMatch(JSON.stringify(withoutSecrets({ ...env, A: '1' })), /s3cret/);
    assert.deepEqual(withoutSecrets({ A: '1' }), { A: '1' });
  } finally {
    await rm(data, { recursive: true });
  }
});

test('with a connection string, the data volume is that of the connected registry', () => {
  assert.equal(dataOf({}), 'data');
  assert.equal(dataOf({ TERRACE_DATA: '/data' }), '/data');
  assert.equal(dataOf({ TERRACE_DATA: '/data', ...env }), '/var/acr/data');
  assert.equal(dataOf({ TERRACE_DATA: '/data', ACR_REGISTRY_DATA_VOLUME: '/v', ...env }), '/v');
});

test('an invalid environment is refused before anything starts', () => {
  const refused = (error: unknown) => error instanceof Refusal && error.exitCode === 2;
  assert.throws(() => environmentOf({ ACR_REGISTRY_CONNECTION_STRING: 'x' }, '/data', none), refused);
  assert.throws(
    () => environmentOf(env, '/dev/null/none', none),
    /can't be written \(ENOTDIR\): make the data volume writable/,
  );
});

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { AzureLogin } from '#proto/document/azure.ts';
import { EntraClient } from '../../../../services/syncer/link/http/entra-client.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { identityOf } from '../../../../services/syncer/link/login/entra-identity.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { Acr, ALL } from '../../../support/azure/acr.ts';
import { Entra } from '../../../support/azure/entra.ts';
import { Authority } from '../../../support/certificates.ts';
import { ConnectProxy } from '../../../support/proxy/connect-proxy.ts';
import { pushImage } from '../../../support/registry/image.ts';
import { patienceSignal } from '../../../support/until.ts';

/**
 * Logins to an Azure Container Registry, against stand-ins of it and of Microsoft Entra, with a CA of their own.
 */

const { signal } = new AbortController();
const stack = new AsyncDisposableStack();
const [TENANT, PRINCIPAL, MACHINE, WORKLOAD] = ['tenant-1', 'principal-1', 'machine-1', 'workload-1'];
let authority: Authority;
let entra: Entra;
let acr: Acr;
let ca: string;

before(async () => {
  authority = stack.use(await Authority.create());
  ca = await readFile(authority.certificate, 'utf8');
  entra = stack.use(
    await Entra.start({
      authority,
      tenant: TENANT,
      secrets: { [PRINCIPAL]: 's3cret' },
      assertions: { [WORKLOAD]: 'of the cluster' },
      machine: MACHINE,
    }),
  );
  acr = stack.use(
    await Acr.start({
      authority,
      identify: entra.identify,
      identities: { [PRINCIPAL]: ALL, [MACHINE]: ALL, [WORKLOAD]: { app: ['pull', 'metadata_read'] } },
      holders: [
        { account: { username: 'admin', password: 'root' }, rights: ALL },
        { account: { username: 'scoped', password: 'some' }, rights: { app: ['pull'] } },
      ],
    }),
  );
  await pushImage(acr.backendUrl, 'app', 'v1');
  await pushImage(acr.backendUrl, 'other', 'v1');
});
after(() => stack.disposeAsync());
beforeEach(() => {
  acr.clearRequests();
  entra.failure = undefined;
});

const linkOf = (azure: AzureLogin, secret?: string) =>
  new ParentLink({
    url: acr.url,
    ca,
    azure: {
      identity: identityOf({
        azure: { authorityHost: entra.authorityHost, ...azure },
        secret,
        http: new EntraClient(ca),
      }),
    },
  });
const principal = (secret = 's3cret') =>
  linkOf({ credential: 'service-principal', clientId: PRINCIPAL, tenantId: TENANT }, secret);

test('a service principal logs in, and its secret is sent to Entra only', async () => {
  await using link = principal();
  const parent = new ParentRegistry(link);
  assert.deepEqual(await parent.tags('app', signal), ['v1']);
  assert.deepEqual(await Array.fromAsync(parent.repositories(signal)), ['app', 'other']);
  assert.deepEqual(acr.requestLines(), [
    'GET /v2/app/tags/list',
    'POST /oauth2/exchange',
    'POST /oauth2/token',
    'GET /v2/app/tags/list',
    'POST /oauth2/token',
    'GET /v2/_catalog',
  ]);
  for (const { path, headers } of acr.requests) {
    assert.equal(headers['x-meta-source-client'], 'on-prem/terrace', path);
  }
});

test('a managed identity of the machine logs in, with and without its client id', async () => {
  Object.assign(process.env, entra.env);
  for (const azure of [{ clientId: MACHINE }, {}]) {
    await using link = linkOf({ credential: 'managed-identity', ...azure });
    assert.deepEqual(await new ParentRegistry(link).tags('app', signal), ['v1']);
  }
});

test('a workload identity logs in with the token of its cluster, and reads only what it may', async () => {
  const tokenFile = join(authority.folder, 'token');
  await writeFile(tokenFile, 'of the cluster\n');
  await using link = linkOf({
    credential: 'workload-identity',
    clientId: WORKLOAD,
    tenantId: TENANT,
    tokenFile,
  });
  const parent = new ParentRegistry(link);
  assert.deepEqual(await parent.tags('app', signal), ['v1']);
  await assert.rejects(parent.tags('other', signal), { code: 'parent-refused', message: /401/ });
});

test('a repository-scoped token and the admin user log in with username and password', async () => {
  await using scoped = new ParentLink({
    url: acr.url,
    ca,
    azure: {},
    login: { username: 'scoped', password: 'some' },
  });
  const parent = new ParentRegistry(scoped);
  assert.ok(await parent.resolve('app', 'v1', signal));
  assert.equal(acr.requestLines().filter((request) => request === 'GET /oauth2/token').length, 1);
  // Only the `exp` claim of the token states its lifetime.
  acr.clearRequests();
  assert.ok(await parent.resolve('app', 'v1', signal));
  assert.deepEqual(acr.requestLines(), ['HEAD /v2/app/manifests/v1']);
  await assert.rejects(Array.fromAsync(parent.repositories(signal)), { code: 'parent-refused' });
  await using admin = new ParentLink({
    url: acr.url,
    ca,
    azure: {},
    login: { username: 'admin', password: 'root' },
  });
  assert.equal((await Array.fromAsync(new ParentRegistry(admin).repositories(signal))).length, 2);
});

test('a redirect to the data endpoint carries no token', async () => {
  const image = await pushImage(acr.backendUrl, 'app', 'v2');
  await using link = principal();
  const { digest, size } = image.config;
  const answer = await new ParentRegistry(link).blob('app', digest, size, { start: 0, end: size }, signal);
  await Array.fromAsync(answer.body);
  assert.equal(acr.dataRequests.length, 1);
  assert.equal(acr.dataRequests[0]?.headers.authorization, undefined);
  assert.equal(acr.dataRequests[0]?.headers['x-meta-source-client'], undefined);
});

test('after the registry changes to permissions by repository, the layer logs in once more', async () => {
  await using abac = await Acr.start({
    authority,
    identify: entra.identify,
    identities: { [PRINCIPAL]: { app: ['pull'] } },
  });
  await pushImage(abac.backendUrl, 'app', 'v1');
  await using link = new ParentLink({
    url: abac.url,
    ca,
    azure: {
      identity: identityOf({
        azure: {
          clientId: PRINCIPAL,
          tenantId: TENANT,
          clientSecretFile: 'f',
          authorityHost: entra.authorityHost,
        },
        secret: 's3cret',
        http: new EntraClient(ca),
      }),
    },
  });
  const parent = new ParentRegistry(link);
  assert.ok(await parent.resolve('app', 'v1', signal));
  abac.switchToAbac();
  abac.clearRequests();
  const now = Date.now;
  // A refresh token that was just granted would be retained.
  Date.now = () => now() + 60_000;
  try {
    assert.ok(await parent.resolve('app', 'v1', signal));
  } finally {
    Date.now = now;
  }
  assert.equal(abac.requestLines().filter((request) => request.endsWith('/exchange')).length, 1);
});

test('an answer 429 of the token service is retried', async () => {
  await using link = principal();
  acr.throttled = [{ path: /oauth2/, times: 1, after: 1 }];
  assert.deepEqual(await new ParentRegistry(link).tags('other', signal), ['v1']);
});

test('the error of Entra for a wrong secret is reported without the secret, and is not retried at once', async () => {
  await using link = principal('wrong-one');
  const parent = new ParentRegistry(link);
  const refusal = async (): Promise<string> => {
    const error = await parent.tags('app', signal).then(
      () => undefined,
      (fault) => fault,
    );
    assert.equal(error?.code, 'parent-refused');
    return error.message;
  };
  const first = await refusal();
  assert.match(first, /AADSTS7000215: Invalid client secret provided/);
  assert.doesNotMatch(first, /wrong-one|Trace ID|s3cret/);
  const before = entra.requests.length;
  assert.equal(await refusal(), first);
  assert.equal(entra.requests.length, before);
});

test('behind a proxy, `ca` is trusted for Entra, and without it the message names the cause', async () => {
  await using proxy = await ConnectProxy.start();
  process.env.HTTPS_PROXY = proxy.url;
  try {
    await using link = principal();
    assert.deepEqual(await new ParentRegistry(link).tags('other', signal), ['v1']);
    assert.ok(proxy.targets.includes(new URL(entra.authorityHost).host));
    for (const proxied of [true, false]) {
      if (!proxied) delete process.env.HTTPS_PROXY;
      const azure: AzureLogin = {
        credential: 'service-principal',
        clientId: PRINCIPAL,
        tenantId: TENANT,
        authorityHost: entra.authorityHost,
      };
      await assert.rejects(
        identityOf({ azure, secret: 's3cret', http: new EntraClient(undefined) }).token(),
        {
          code: 'parent-unreachable',
          message:
            /(SELF_SIGNED|UNABLE_TO)_\w+.*: if a private CA signed its certificate, set parent\.caFile to that CA$/,
        },
      );
    }
  } finally {
    delete process.env.HTTPS_PROXY;
  }
});

test('an unreachable authority is the fault parent-unreachable', async () => {
  await entra.down();
  await using link = principal();
  await assert.rejects(new ParentRegistry(link).ping(patienceSignal()), {
    code: 'parent-unreachable',
    message: /ECONNREFUSED|Entra/,
  });
  await entra.up();
});

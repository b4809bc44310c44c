import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { Bus } from '#proto/bus/bus.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { unreachable } from '../../../../services/syncer/link/answers/bodies.ts';
import { SharedBandwidth } from '../../../../services/syncer/link/bandwidth/bandwidth.ts';
import { SyncerSettings } from '../../../../services/syncer/link/parent/settings.ts';
import { quiet } from '../../../support/bus.ts';
import { Authority } from '../../../support/certificates.ts';
import { ConnectProxy } from '../../../support/proxy/connect-proxy.ts';

const { signal } = new AbortController();
const stack = new AsyncDisposableStack();
let authority: Authority;
let others: Authority;

before(async () => {
  authority = stack.use(await Authority.create());
  others = stack.use(await Authority.create());
});
after(() => stack.disposeAsync());

/** A server that records which client certificates it gets. */
async function serving(options: ServerOptions, location?: string) {
  const { certificateFile, keyFile } = await authority.issue('parent');
  const tls = { cert: await readFile(certificateFile), key: await readFile(keyFile), ...options };
  const clients: (string | undefined)[] = [];
  const server = createServer(tls, ({ socket }, response) => {
    clients.push((socket as TLSSocket).getPeerCertificate().subject?.CN as string | undefined);
    if (location) response.writeHead(307, { location }).end();
    else response.end('content');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    clients,
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The clients of a parent that is configured like this. */
function settingsOf(parent: Configuration['parent']) {
  const settings = new SyncerSettings(new SharedBandwidth({} as Bus, 'syncer', quiet));
  settings.set({ name: 'line', parent, repositories: [], bandwidth: [] } as unknown as Configuration);
  return settings;
}

const DEMANDS: ServerOptions = { requestCert: true, rejectUnauthorized: true };

test('the client certificate is sent to the parent, also behind a proxy, and to no other host', async () => {
  const files = await authority.issue('line');
  const ca = await readFile(authority.certificate);
  await using blobs = await serving({ ca, requestCert: true, rejectUnauthorized: false });
  await using server = await serving({ ...DEMANDS, ca }, `${blobs.url}/blob`);
  const config = { url: server.url, caFile: authority.certificate, ...files };
  const digest = `sha256:${'a'.repeat(64)}`;
  const read = async () => {
    await using settings = settingsOf(config);
    const { parent } = await settings.clients();
    const { body } = await parent.blob('app', digest, 7, { start: 0, end: 7 }, signal);
    assert.equal(Buffer.concat(await Array.fromAsync(body)).toString(), 'content');
  };
  await read();
  await using proxy = await ConnectProxy.start();
  process.env.HTTPS_PROXY = proxy.url;
  try {
    await read();
  } finally {
    delete process.env.HTTPS_PROXY;
  }
  assert.equal(proxy.targets.length, 2);
  assert.deepEqual(
    [server.clients, blobs.clients],
    [
      ['line', 'line'],
      [undefined, undefined],
    ],
  );
});

test('a parent that demands a certificate is reported with the remedy', async () => {
  // With TLS 1.3, the alert may be lost: the server closes the connection while the request arrives.
  await using server = await serving({
    ...DEMANDS,
    ca: await readFile(others.certificate),
    maxVersion: 'TLSv1.2',
  });
  await using settings = settingsOf({ url: server.url, caFile: authority.certificate });
  const { parent } = await settings.clients();
  const remedy =
    /: it refused the TLS connection; if it demands a client certificate, set parent\.certificateFile and parent\.keyFile/;
  await assert.rejects(parent.blobSize('app', `sha256:${'a'.repeat(64)}`, signal), {
    code: 'parent-unreachable',
    message: remedy,
  });
  for (const alert of [
    'TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'TLSV1_ALERT_UNKNOWN_CA',
    'SSLV3_ALERT_BAD_CERTIFICATE',
  ]) {
    const cause = Object.assign(new Error('alert'), { code: `ERR_SSL_${alert}` });
    assert.match((unreachable(cause, signal, 'GET it') as Error).message, remedy);
  }
});

test('a pair that is missing, damaged or does not match names its field, and a repaired one is read again', async () => {
  const first = await authority.issue('first');
  const second = await authority.issue('second');
  const missing = `${authority.folder}/missing`;
  const damaged = `${authority.folder}/damaged`;
  await writeFile(damaged, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  const wrong: [certificateFile: string, keyFile: string, message: RegExp][] = [
    [missing, first.keyFile, /^parent\.certificateFile ".*missing" can't be read \(ENOENT\): make/],
    [first.certificateFile, missing, /^parent\.keyFile ".*missing" can't be read \(ENOENT\): make/],
    [damaged, first.keyFile, /^parent\.certificateFile ".*damaged" is damaged: write/],
    [first.certificateFile, damaged, /^parent\.keyFile ".*damaged" contains no private key: write/],
    [first.certificateFile, second.keyFile, /^parent\.keyFile ".*" does not match the first certificate/],
  ];
  const url = 'https://up.example';
  for (const [certificateFile, keyFile, message] of wrong) {
    await using settings = settingsOf({ url, certificateFile, keyFile });
    await assert.rejects(settings.clients(), { code: 'config-invalid', message });
  }
  await using settings = settingsOf({ url, certificateFile: damaged, keyFile: first.keyFile });
  await assert.rejects(settings.clients(), { code: 'config-invalid' });
  await writeFile(damaged, await readFile(first.certificateFile));
  const before = await settings.clients();
  assert.equal(await settings.clients(), before);
  await writeFile(damaged, await readFile(second.certificateFile));
  await assert.rejects(settings.clients(), { message: /does not match/ });
});

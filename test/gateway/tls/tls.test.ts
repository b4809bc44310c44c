import { deepEqual, equal, match, throws } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { CONFIGURATION_KEY, configuration, type Tls } from '#proto/document/configuration.ts';
import { checkPair, readPair } from '#proto/http/certificate-pair.ts';
import { Volume } from '#proto/volume/volume.ts';
import { buildApp, closeApp } from '../../../services/gateway/app.ts';
import { renewFromFiles } from '../../../services/gateway/tls/renew-from-files.ts';
import { tlsOf } from '../../../services/gateway/tls/tls.ts';
import { Authority } from '../../support/certificates.ts';
import { configurationWith } from '../../support/configuration.ts';
import { WorkloadApi } from '../../support/iot-edge/workload-api.ts';
import { until } from '../../support/until.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { kill } from '../rig-storage.ts';

const authority = await Authority.create();
const ca = await readFile(authority.certificate);
const [first, second] = await Promise.all([authority.issue('first'), authority.issue('second')]);
const folder = await mkdtemp(join(tmpdir(), 'terrace-tls-'));
const layer = await GatewayRig.start();
after(async () => {
  await layer[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function handshake(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ca, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** Common name of the certificate that a new connection gets. */
async function servedName(port: number): Promise<string> {
  const socket = await handshake(port);
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

/** Folders with pairs, and a link to the current one, which is replaced as Kubernetes replaces those of secrets. */
async function secretFolders(...pairs: [name: string, certificateFile: string, keyFile: string][]) {
  const at = await mkdtemp(join(folder, 'secret-'));
  for (const [name, certificateFile, keyFile] of pairs) {
    await mkdir(join(at, name));
    await copyFile(certificateFile, join(at, name, 'tls.crt'));
    await copyFile(keyFile, join(at, name, 'tls.key'));
  }
  const select = async (name: string) => {
    await symlink(name, join(at, '..next'));
    await rename(join(at, '..next'), join(at, '..data'));
  };
  const files: Tls = {
    certificateFile: join(at, '..data/tls.crt'),
    keyFile: join(at, '..data/tls.key'),
  };
  return { files, select };
}

/** A gateway in this process with a certificate from files, which it polls all the time. */
async function gateway(files: Tls, now = Date.now) {
  const messages: string[] = [];
  const record = (_fields: object, message: string) => void messages.push(message);
  const log = { debug() {}, info: record, warn: record, error: record };
  const pair = await readPair(files);
  const { app, gateway } = buildApp({
    bus: layer.bus,
    volume: new Volume(layer.data),
    instance: 'gateway-tls',
    open: true,
    mode: () => 'ReadWrite',
    log,
    tls: pair,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const end = new AbortController();
  const renewing = renewFromFiles(app.server as never, () => files, pair, log, end.signal, {
    pollMs: 5,
    now,
  });
  return {
    messages,
    port: (app.server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      end.abort();
      await renewing;
      await closeApp(app, gateway);
    },
  };
}

test('clients connect with TLS 1.2 or newer, and HTTP/1.1 in it', async () => {
  await using secure = await gateway(first);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await handshake(secure.port, {
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    equal(socket.getProtocol(), version);
    equal(socket.alpnProtocol, 'http/1.1');
    socket.write('GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    match(await text(socket), /^HTTP\/1\.1 200 /);
  }
  const old = connect({
    host: '127.0.0.1',
    port: secure.port,
    ca,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  const [error] = await once(old, 'error');
  match(String(error), /alert protocol version|unsupported protocol/i);
});

test('a replaced pair is used for the next connection, and open connections stay', async () => {
  const { files, select } = await secretFolders(
    ['one', first.certificateFile, first.keyFile],
    ['two', second.certificateFile, second.keyFile],
  );
  await select('one');
  await using secure = await gateway(files);
  equal(await servedName(secure.port), 'first');

  const bytes = randomBytes(300_000);
  const push = request({
    host: '127.0.0.1',
    port: secure.port,
    ca,
    agent: false,
    method: 'POST',
    path: '/v2/tls/blobs/uploads/',
    headers: { 'content-length': 0 },
  }).end();
  const [started] = await once(push, 'response');
  started.resume();
  equal(started.statusCode, 202);
  const patch = request({
    host: '127.0.0.1',
    port: secure.port,
    ca,
    agent: false,
    method: 'PATCH',
    path: started.headers.location,
    headers: { 'content-length': bytes.byteLength },
  });
  patch.write(bytes.subarray(0, 100_000));
  await once(patch, 'socket');

  await select('two');
  await until(async () => (await servedName(secure.port)) === 'second');
  patch.end(bytes.subarray(100_000));
  const [answer] = await once(patch, 'response');
  equal(answer.statusCode, 202);
  equal(answer.headers.range, '0-299999');
  answer.resume();

  await select('one');
  await until(async () => (await servedName(secure.port)) === 'first');
  equal(secure.messages.filter((message) => /^installed a new certificate/.test(message)).length, 2);
});

test('a pair that does not match, or is incomplete, leaves the one before it in use', async () => {
  const { files, select } = await secretFolders(
    ['one', first.certificateFile, first.keyFile],
    ['mixed', second.certificateFile, first.keyFile],
    ['two', second.certificateFile, second.keyFile],
  );
  await select('one');
  await using secure = await gateway(files);
  await select('mixed');
  await until(() =>
    secure.messages.some((message) =>
      /^cannot install the new certificate; keeping the one in use: tls\.keyFile/.test(message),
    ),
  );
  equal(await servedName(secure.port), 'first');

  const chain = await readFile(second.certificateFile, 'utf8');
  await writeFile(files.certificateFile, `${chain}${chain.slice(0, 200)}`);
  await until(() =>
    secure.messages.some((message) =>
      /keeping the one in use: tls\.certificateFile .* is incomplete/.test(message),
    ),
  );
  equal(await servedName(secure.port), 'first');

  await select('two');
  await until(async () => (await servedName(secure.port)) === 'second');
  await rm(files.keyFile);
  await until(() =>
    secure.messages.some((message) =>
      /keeping the one in use: tls\.keyFile .* can't be read \(ENOENT\)/.test(message),
    ),
  );
  equal(await servedName(secure.port), 'second');
  const complaints = secure.messages.filter((message) => message.includes('keeping'));
  equal(complaints.length, new Set(complaints).size, 'each is logged once');
});

test('a certificate that expires soon is logged each day', async () => {
  let days = 60;
  const now = () => Date.now() + days * 24 * 60 * 60 * 1_000;
  await using secure = await gateway(first, now);
  const warnings = () => secure.messages.filter((message) => /renew it/.test(message));
  deepEqual(warnings(), []);
  days = 80;
  await until(() => warnings().length === 1);
  match(warnings()[0] ?? '', /^the certificate expires on \d{4}-.*, in (9|10) days: renew it/);
  days = 91.5;
  await until(() => warnings().length === 2);
  match(warnings()[1] ?? '', /^the certificate expired on .* and clients reject it: renew it/);
});

test('an invalid pair is refused with the field and the remedy', async () => {
  const good = await readPair(first);
  const other = await readPair(second);
  const locked = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n';
  const half = good.cert.slice(0, 300);
  const damaged = good.cert.replace(/\n[A-Za-z0-9+/]{20}/, '\nAAAAAAAAAAAAAAAAAAAA');
  const wrong: [cert: string, key: string, message: RegExp][] = [
    ['', good.key, /tls\.certificateFile ".*" contains no certificate: write the certificate and its chain/],
    [half, good.key, /tls\.certificateFile ".*" is incomplete/],
    [damaged, good.key, /tls\.certificateFile ".*" is damaged/],
    [good.cert, '', /tls\.keyFile ".*" contains no private key: write it as PEM/],
    [good.cert, locked, /tls\.keyFile ".*" needs a passphrase: store the key without one/],
    [good.cert, other.key, /tls\.keyFile ".*" does not match the first certificate/],
    [`${good.cert}${damaged}`, good.key, /tls\.certificateFile ".*" can't be used with its key/],
  ];
  for (const [cert, key, message] of wrong) throws(() => checkPair({ cert, key }, first), message);
  const ends = checkPair({ cert: good.cert + other.cert, key: good.key }, first);
  equal(Math.round((ends.getTime() - Date.now()) / 86_400_000), 90);
});

test('the environment names both files, or neither', () => {
  const [certificateFile, keyFile] = ['/a', '/b'];
  deepEqual(tlsOf({}), undefined);
  deepEqual(tlsOf({ TERRACE_TLS_CERTIFICATE: '', TERRACE_TLS_KEY: '' }), { files: undefined });
  deepEqual(tlsOf({ TERRACE_TLS_CERTIFICATE: '/a', TERRACE_TLS_KEY: '/b' }), {
    files: { certificateFile, keyFile },
  });
  throws(() => tlsOf({ TERRACE_TLS_CERTIFICATE: '/a' }), /set both, or neither/);
});

/** Starts a gateway process of the layer. `logs` waits for a pattern in its log, and resolves with its first group. */
function start(env: NodeJS.ProcessEnv) {
  const child = layer.spawn('gateway', { TERRACE_LISTEN: '127.0.0.1:0', TERRACE_LOG: 'info', ...env });
  after(() => kill(child));
  let log = '';
  child.stdout?.on('data', (line) => {
    log += line;
  });
  return {
    child,
    logs: async (pattern: RegExp) => {
      await until(() => pattern.test(log));
      return pattern.exec(log)?.[1] ?? '';
    },
  };
}

test('a gateway without a TLS setting waits for the configuration, and then listens with TLS', async () => {
  const { child, logs } = start({});
  await logs(/(waiting for the configuration)/);
  const bridge = await layer.testBus.connect('twin-bridge');
  await bridge.put(configuration, CONFIGURATION_KEY, configurationWith({ tls: first }));
  const port = Number(await logs(/listening on https:\/\/127\.0\.0\.1:(\d+)/));
  equal(await servedName(port), 'first');
  child.kill('SIGTERM');
  await once(child, 'exit');
  equal(child.exitCode, 0);
});

test('a gateway that listens without TLS exits once TLS is configured, to be restarted with it', async () => {
  const bridge = await layer.testBus.connect('twin-bridge');
  await bridge.remove(configuration, CONFIGURATION_KEY);
  const { child, logs } = start({ TERRACE_MODE: 'ReadOnly' });
  await logs(/listening on http:\/\/127\.0\.0\.1:(\d+)/);
  await bridge.put(configuration, CONFIGURATION_KEY, configurationWith({ tls: first }));
  await once(child, 'exit');
  equal(child.exitCode, 1);
  await logs(/(tls is configured, and this process listens without it)/);
});

test('an invalid pair at the start is fatal, and its cause is logged', async () => {
  const { child, logs } = start({
    TERRACE_TLS_CERTIFICATE: first.certificateFile,
    TERRACE_TLS_KEY: second.keyFile,
  });
  await once(child, 'exit');
  equal(child.exitCode, 1);
  await logs(/(tls\.keyFile .* does not match the first certificate)/);
});

test('a module may get its certificates from the daemon of its device, by name and by address', async () => {
  await using api = await WorkloadApi.start(authority);
  const names = { TERRACE_TLS: 'workload', TERRACE_TLS_NAMES: 'localhost,127.0.0.1' };
  const { logs } = start({ ...api.env, ...names, TERRACE_MODE: 'ReadOnly' });
  const port = Number(await logs(/listening on https:\/\/127\.0\.0\.1:(\d+)/));
  equal(await servedName(port), '127.0.0.1');
  const socket = await handshake(port, { servername: 'localhost' });
  equal(socket.getPeerCertificate().subject.CN, 'localhost');
  socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  match(await text(socket), /^HTTP\/1\.1 200 /);
});

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
import { Volume } from '#proto/volume/volume.ts';
import { buildApp, closeApp } from '../../../services/gateway/app.ts';
import { renewFromFiles } from '../../../services/gateway/tls/renew-from-files.ts';
import { checkPair, readPair, tlsOf } from '../../../services/gateway/tls/tls.ts';
import { Authority } from '../../support/certificates.ts';
import { configurationWith } from '../../support/configuration.ts';
import { WorkloadApi } from '../../support/iot-edge/workload-api.ts';
import { kill, TestLayer, until } from '../layer.ts';

const authority = await Authority.create();
const ca = await readFile(authority.certificate);
const [first, second] = await Promise.all([authority.issue('first'), authority.issue('second')]);
const folder = await mkdtemp(join(tmpdir(), 'terrace-tls-'));
const layer = await TestLayer.start();
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

/** Which certificate a new connection gets. */
async function served(port: number): Promise<string> {
  const socket = await handshake(port);
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

/** Folders of pairs, and a link to the one that counts, which is moved as Kubernetes moves those of secrets. */
async function folders(...pairs: [name: string, certificateFile: string, keyFile: string][]) {
  const at = await mkdtemp(join(folder, 'secret-'));
  for (const [name, certificateFile, keyFile] of pairs) {
    await mkdir(join(at, name));
    await copyFile(certificateFile, join(at, name, 'tls.crt'));
    await copyFile(keyFile, join(at, name, 'tls.key'));
  }
  const show = async (name: string) => {
    await symlink(name, join(at, '..next'));
    await rename(join(at, '..next'), join(at, '..data'));
  };
  const files: Tls = {
    certificateFile: join(at, '..data/tls.crt'),
    keyFile: join(at, '..data/tls.key'),
  };
  return { files, show };
}

/** A gateway in this process that speaks TLS with a pair, and looks at the files all the time. */
async function gateway(files: Tls, now = Date.now) {
  const said: string[] = [];
  const say = (_fields: object, message: string) => void said.push(message);
  const log = { debug() {}, info: say, warn: say, error: say };
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
    said,
    port: (app.server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      end.abort();
      await renewing;
      await closeApp(app, gateway);
    },
  };
}

test('clients speak TLS 1.2 or newer, and HTTP/1.1 in it', async () => {
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

test('a pair that is swapped is in force for the next connection, and those that are open stay', async () => {
  const { files, show } = await folders(
    ['one', first.certificateFile, first.keyFile],
    ['two', second.certificateFile, second.keyFile],
  );
  await show('one');
  await using secure = await gateway(files);
  equal(await served(secure.port), 'first');

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
  const [begun] = await once(push, 'response');
  begun.resume();
  equal(begun.statusCode, 202);
  const patch = request({
    host: '127.0.0.1',
    port: secure.port,
    ca,
    agent: false,
    method: 'PATCH',
    path: begun.headers.location,
    headers: { 'content-length': bytes.byteLength },
  });
  patch.write(bytes.subarray(0, 100_000));
  await once(patch, 'socket');

  await show('two');
  await until(async () => (await served(secure.port)) === 'second');
  patch.end(bytes.subarray(100_000));
  const [answer] = await once(patch, 'response');
  equal(answer.statusCode, 202);
  equal(answer.headers.range, '0-299999');
  answer.resume();

  await show('one');
  await until(async () => (await served(secure.port)) === 'first');
  equal(secure.said.filter((message) => /^installed a new certificate/.test(message)).length, 2);
});

test('a pair that does not belong together, or is not whole, leaves the one before it in force', async () => {
  const { files, show } = await folders(
    ['one', first.certificateFile, first.keyFile],
    ['mixed', second.certificateFile, first.keyFile],
    ['two', second.certificateFile, second.keyFile],
  );
  await show('one');
  await using secure = await gateway(files);
  await show('mixed');
  await until(() =>
    secure.said.some((message) =>
      /^cannot install the new certificate; keeping the one in use: tls\.keyFile/.test(message),
    ),
  );
  equal(await served(secure.port), 'first');

  const chain = await readFile(second.certificateFile, 'utf8');
  await writeFile(files.certificateFile, `${chain}${chain.slice(0, 200)}`);
  await until(() =>
    secure.said.some((message) =>
      /keeping the one in use: tls\.certificateFile .* is incomplete/.test(message),
    ),
  );
  equal(await served(secure.port), 'first');

  await show('two');
  await until(async () => (await served(secure.port)) === 'second');
  await rm(files.keyFile);
  await until(() =>
    secure.said.some((message) =>
      /keeping the one in use: tls\.keyFile .* can't be read \(ENOENT\)/.test(message),
    ),
  );
  equal(await served(secure.port), 'second');
  const complaints = secure.said.filter((message) => message.includes('keeping'));
  equal(complaints.length, new Set(complaints).size, 'each is told once');
});

test('a certificate that ends soon is told of, each day', async () => {
  let days = 60;
  const now = () => Date.now() + days * 24 * 60 * 60 * 1_000;
  await using secure = await gateway(first, now);
  const warnings = () => secure.said.filter((message) => /renew it/.test(message));
  deepEqual(warnings(), []);
  days = 80;
  await until(() => warnings().length === 1);
  match(warnings()[0] ?? '', /^the certificate expires on \d{4}-.*, in (9|10) days: renew it/);
  days = 91.5;
  await until(() => warnings().length === 2);
  match(warnings()[1] ?? '', /^the certificate expired on .* and clients reject it: renew it/);
});

test('what is wrong with a pair names the field and the remedy', async () => {
  const good = await readPair(first);
  const other = await readPair(second);
  const locked = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n';
  const half = good.cert.slice(0, 300);
  const damaged = good.cert.replace(/\n[A-Za-z0-9+/]{20}/, '\nAAAAAAAAAAAAAAAAAAAA');
  const wrong: [cert: string, key: string, said: RegExp][] = [
    ['', good.key, /tls\.certificateFile ".*" contains no certificate: write the certificate and its chain/],
    [half, good.key, /tls\.certificateFile ".*" is incomplete/],
    [damaged, good.key, /tls\.certificateFile ".*" is damaged/],
    [good.cert, '', /tls\.keyFile ".*" contains no private key: write it as PEM/],
    [good.cert, locked, /tls\.keyFile ".*" needs a passphrase: store the key without one/],
    [good.cert, other.key, /tls\.keyFile ".*" does not match the first certificate/],
    [`${good.cert}${damaged}`, good.key, /tls\.certificateFile ".*" can't be used with its key/],
  ];
  for (const [cert, key, said] of wrong) throws(() => checkPair({ cert, key }, first), said);
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

/** A gateway process of the layer, and what it says. */
function start(env: NodeJS.ProcessEnv) {
  const child = layer.spawn('gateway', { TERRACE_LISTEN: '127.0.0.1:0', TERRACE_LOG: 'info', ...env });
  after(() => kill(child));
  let log = '';
  child.stdout?.on('data', (line) => {
    log += line;
  });
  return {
    child,
    says: async (pattern: RegExp) => {
      await until(() => pattern.test(log));
      return pattern.exec(log)?.[1] ?? '';
    },
  };
}

test('a gateway that was not told how to speak waits for the configuration, and then speaks TLS', async () => {
  const { child, says } = start({});
  await says(/(waiting for the configuration)/);
  const bridge = await layer.testBus.connect('twin-bridge');
  await bridge.put(configuration, CONFIGURATION_KEY, configurationWith({ tls: first }));
  const port = Number(await says(/listening on https:\/\/127\.0\.0\.1:(\d+)/));
  equal(await served(port), 'first');
  child.kill('SIGTERM');
  await once(child, 'exit');
  equal(child.exitCode, 0);
});

test('one that listens without TLS before it hears of any ends, to be started with it', async () => {
  const bridge = await layer.testBus.connect('twin-bridge');
  await bridge.remove(configuration, CONFIGURATION_KEY);
  const { child, says } = start({ TERRACE_MODE: 'ReadOnly' });
  await says(/listening on http:\/\/127\.0\.0\.1:(\d+)/);
  await bridge.put(configuration, CONFIGURATION_KEY, configurationWith({ tls: first }));
  await once(child, 'exit');
  equal(child.exitCode, 1);
  await says(/(tls is configured, and this process listens without it)/);
});

test('a bad pair at the start is fatal, and says why', async () => {
  const { child, says } = start({
    TERRACE_TLS_CERTIFICATE: first.certificateFile,
    TERRACE_TLS_KEY: second.keyFile,
  });
  await once(child, 'exit');
  equal(child.exitCode, 1);
  await says(/(tls\.keyFile .* does not match the first certificate)/);
});

test('a module may have its certificates from the daemon of its device, by name and by address', async () => {
  await using api = await WorkloadApi.start(authority);
  const names = { TERRACE_TLS: 'workload', TERRACE_TLS_NAMES: 'localhost,127.0.0.1' };
  const { says } = start({ ...api.env, ...names, TERRACE_MODE: 'ReadOnly' });
  const port = Number(await says(/listening on https:\/\/127\.0\.0\.1:(\d+)/));
  equal(await served(port), '127.0.0.1');
  const socket = await handshake(port, { servername: 'localhost' });
  equal(socket.getPeerCertificate().subject.CN, 'localhost');
  socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  match(await text(socket), /^HTTP\/1\.1 200 /);
});

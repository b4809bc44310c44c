import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { workloadOf } from '#proto/iot-edge/workload.ts';
import { secureOptions } from '../../../services/gateway/tls/tls.ts';
import { WorkloadTls, workloadNames } from '../../../services/gateway/tls/workload-tls.ts';
import { TrustBundle } from '../../../services/syncer/link/login/trust-bundle.ts';
import { Authority } from '../../support/certificates.ts';
import { WorkloadApi } from '../../support/iot-edge/workload-api.ts';
import { until } from '../../support/until.ts';

/** Certificates of the device's daemon: which one a client gets, and how they are renewed. */

let authority: Authority;
let ca: string;
before(async () => {
  authority = await Authority.create();
  ca = await readFile(authority.certificate, 'utf8');
});
after(() => authority[Symbol.asyncDispose]());

const log = { debug() {}, info() {}, warn() {}, error() {} };

async function handshake(port: number, servername?: string): Promise<TLSSocket> {
  const name = servername === undefined ? {} : { servername };
  const socket = connect({ host: '127.0.0.1', port, ca, checkServerIdentity: () => undefined, ...name });
  await once(socket, 'secureConnect');
  return socket;
}

async function certificateFor(port: number, servername?: string): Promise<{ name: string; serial: string }> {
  const socket = await handshake(port, servername);
  const { subject, serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return { name: String(subject.CN), serial: serialNumber };
}

test('each name has its own certificate, an address the default one; renewed ones need no restart', async () => {
  await using api = await WorkloadApi.start(authority);
  const workload = workloadOf(api.env, { attempts: 1 });
  assert.ok(workload);
  const end = new AbortController();
  let days = 0;
  const now = () => Date.now() + days * 86_400_000;
  const names = ['localhost', '127.0.0.1', 'line.example'];
  const warnings: string[] = [];
  const warningLog = { ...log, warn: (_fields: object, message: string) => void warnings.push(message) };
  const tls = new WorkloadTls(workload, names, warningLog, end.signal, now);
  const pair = await tls.start(end.signal);
  assert.deepEqual(api.requestedNames, names);
  const server = createServer({
    ...secureOptions,
    ...pair,
    SNICallback: (name, done) => done(null, tls.sni(name)),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const renewing = tls.renew(server, end.signal, 5);
  try {
    assert.equal((await certificateFor(port, 'localhost')).name, 'localhost');
    assert.equal((await certificateFor(port, 'LINE.example')).name, 'line.example');
    assert.equal(
      (await certificateFor(port)).name,
      '127.0.0.1',
      'a client that connects to an address sends no name',
    );
    const other = await certificateFor(port, 'other.example');
    assert.equal(other.name, '127.0.0.1');
    const before = await certificateFor(port, 'localhost');
    const open = await handshake(port, 'localhost');

    api.away = true;
    days = 21;
    await until(() => warnings.length > 0);
    assert.equal((await certificateFor(port, 'localhost')).serial, before.serial, 'the old one stays');
    api.away = false;
    days = 22;
    await until(async () => (await certificateFor(port, 'localhost')).serial !== before.serial);
    await until(async () => (await certificateFor(port)).serial !== other.serial);
    assert.equal(open.destroyed, false, 'open connections stay');
    open.destroy();
  } finally {
    end.abort();
    await renewing;
    server.closeAllConnections();
    server.close();
  }
});

test('the start waits for the daemon, and the default name is that of the device', async () => {
  await using api = await WorkloadApi.start(authority, { IOTEDGE_GATEWAYHOSTNAME: 'device.example' });
  api.away = true;
  const workload = workloadOf(api.env, { attempts: 1 });
  assert.ok(workload);
  const end = new AbortController();
  const warnings: string[] = [];
  const warningLog = { ...log, warn: (_fields: object, message: string) => void warnings.push(message) };
  const starting = new WorkloadTls(workload, [], warningLog, end.signal).start(end.signal);
  await until(() => warnings.length > 0);
  assert.match(
    warnings[0] ?? '',
    /cannot renew the certificate for device\.example; not listening until it has one: /,
  );
  api.away = false;
  assert.ok(await starting);
  assert.deepEqual(api.requestedNames, ['device.example']);
});

test('the environment selects the certificates of the daemon, and their names', () => {
  const uri = { IOTEDGE_WORKLOADURI: 'unix:///x' };
  assert.equal(workloadNames(uri), undefined);
  assert.deepEqual(workloadNames({ ...uri, TERRACE_TLS: 'workload' }), []);
  const names = 'a.example, 10.0.0.4,[fd00::1]';
  assert.deepEqual(workloadNames({ ...uri, TERRACE_TLS: 'workload', TERRACE_TLS_NAMES: names }), [
    'a.example',
    '10.0.0.4',
    'fd00::1',
  ]);
  assert.throws(() => workloadNames({ TERRACE_TLS: 'workload' }), /needs IOTEDGE_WORKLOADURI/);
  assert.throws(() => workloadNames({ TERRACE_TLS: 'on' }), /write workload, or leave it out/);
});

test('the trust bundle of the device is requested at intervals, and stays in use while its daemon is down', async () => {
  await using api = await WorkloadApi.start(authority);
  const workload = workloadOf(api.env, { attempts: 1 });
  assert.ok(workload);
  let now = 0;
  api.away = true;
  const trust = new TrustBundle(workload, log, () => now);
  assert.equal(await trust.get(), undefined);
  api.away = false;
  assert.equal(await trust.get(), undefined, 'it is not requested at each use');
  now += 30_000;
  assert.deepEqual(await Promise.all([trust.get(), trust.get()]), [ca, ca]);
  api.away = true;
  now += 600_000;
  assert.equal(await trust.get(), ca);
});

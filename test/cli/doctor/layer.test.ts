import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { storageStatus } from '#proto/status/storage-status.ts';
import { claimPid } from '../../../cli/data/pid-file.ts';
import { Authority } from '../../support/certificates.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { serveHttp } from '../../support/http-server.ts';
import { testLayer } from '../../support/layer.ts';
import { freePort } from '../../support/ports.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { pushImage } from '../../support/registry/image.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { examined, faultsOf, notMade, onlyFault, StoppedLayer, warningsOf } from './examined.ts';

/** Faults of a data folder, of the machine around it and of a configuration, planted one at a time. */

const stack = new AsyncDisposableStack();
let authority: Authority;

before(async () => {
  authority = stack.use(await Authority.create());
});
after(() => stack.disposeAsync());

test('a running layer that is in step with a registry has no fault and no warning', async () => {
  await using cloud = await startCloud();
  await pushImage(cloud.url, 'line/motor', 'v1');
  const tls = await authority.issue('layer');
  await using layer = await testLayer({
    parent: cloud.url,
    repositories: ['line/*'],
    tls,
    compact: 'hosted',
  });
  await layer.sync();
  const { code, report } = await examined('--data', layer.data);
  assert.deepEqual(faultsOf(report), []);
  assert.deepEqual(warningsOf(report), []);
  assert.equal(code, 0);
  assert.equal(report.layer, 'running');
  const notChecked = report.checks.filter(({ state }) => state === 'not checked');
  assert.deepEqual(notChecked, []);
  assert.equal(report.checks.find(({ check }) => check === 'sync')?.about, 'link Online, in-sync');

  assert.equal((await runCommandHere('pause', '--data', layer.data)).code, 0);
  const paused = await examined('--data', layer.data);
  assert.deepEqual(faultsOf(paused.report), []);
  assert.match(warningsOf(paused.report).map(String).join(), /^sync,the link is paused/);
});

test('a pattern of a running layer that matches nothing, neither at the parent nor here', async () => {
  await using cloud = await startCloud();
  await pushImage(cloud.url, 'line/motor', 'v1');
  await using layer = await testLayer({
    ...{ parent: cloud.url, repositories: ['line/*', 'own/*', 'nothing/*'], compact: 'hosted' },
  });
  await pushImage(layer.url, 'own/tool', 'v1');
  const found = await examined('--data', layer.data);
  onlyFault(
    found,
    'selection',
    /the selection nothing\/\* matches nothing/,
    /correct it in the field repositories/,
  );
});

test('a login that may pull and not push, in a layer that pushes', async () => {
  await using parent = await testLayer({ compact: 'hosted' });
  await pushImage(parent.url, 'line/motor', 'v1');
  const create = ['token', 'create', 'reader', '--pull', 'line/*', '--json', '--data', parent.data];
  const { password } = JSON.parse((await runCommandHere(...create)).stdout) as { password: string };
  await using layer = await StoppedLayer.create();
  const file = await layer.write('secret', password);
  const login = ['--parent', parent.url, '--parent-username', 'reader', '--parent-password-file', file];
  const both = await layer.examine(...login, '--repository', 'line/motor');
  onlyFault(
    both,
    'parent-rights',
    /the login reader may not push to line\/motor \(40/,
    /right to push .*, or set mode to ReadOnly/,
  );
  const { report } = await layer.examine(...login, '--repository', 'line/motor', '--mode', 'ReadOnly');
  assert.deepEqual(faultsOf(report), []);
  const kind = report.checks.find(({ check }) => check === 'parent-kind');
  assert.equal(kind?.about, 'Terrace; its changes are followed as they happen');
});

test('the login of a child at its parent: ReadWrite may push, ReadOnly need not', async () => {
  await using parent = await testLayer({ compact: 'hosted' });
  await pushImage(parent.url, 'line/motor', 'v1');
  await using layer = await StoppedLayer.create();
  for (const mode of ['ReadWrite', 'ReadOnly']) {
    const name = `cell-${mode.toLowerCase()}`;
    const create = ['child', 'create', name, '--repository', 'line/*', '--mode', mode, '--json'];
    const created = await runCommandHere(...create, '--data', parent.data);
    assert.equal(created.code, 0, created.text);
    const { password } = JSON.parse(created.stdout) as { password: string };
    const file = await layer.write('secret', password);
    const login = ['--parent', parent.url, '--parent-username', name, '--parent-password-file', file];
    const { report } = await layer.examine(...login, '--repository', 'line/*', '--mode', mode);
    assert.deepEqual(faultsOf(report), []);
    const rights = report.checks.find(({ check }) => check === 'parent-rights');
    assert.equal(rights?.about, mode === 'ReadWrite' ? 'may list, pull, push' : 'may list, pull');
    const status = await parent.bus().call(storageStatus, {});
    assert.deepEqual(status.ingests, [], 'the upload that was opened is cancelled');
  }
});

test('less free space than the reserve, and a volume that is mounted read-only', async (t) => {
  await using volume = await smallVolume(8);
  if (!volume) return t.skip('this process may not mount');
  const data = join(volume.path, 'data');
  await mkdir(data, { mode: 0o700 });
  const options = ['--data', data, '--listen', `127.0.0.1:${await freePort()}`];
  const low = await examined(...options, '--reserve', '100MB');
  onlyFault(low, 'disk', /are free, less than the reserve of 100 MB/, /free space, or enlarge the volume/);
  volume.readOnly();
  const fixed = await examined(...options, '--reserve', '1MB');
  onlyFault(fixed, 'file-system', /mounted read-only \(tmpfs on /, /mount it writable/);
});

test('a secret in the data folder, and one that the configuration names, that others can read', async () => {
  await using layer = await StoppedLayer.create();
  await chmod(layer.data, 0o755);
  const path = await layer.write('parent.password', 'secret');
  await chmod(path, 0o644);
  onlyFault(
    await layer.examine(),
    'permissions',
    /^parent\.password can be read by other users/,
    /chmod 600/,
  );
  await rm(path);
  const { certificateFile, keyFile } = await authority.issue('open');
  await chmod(keyFile, 0o644);
  const served = await layer.examine('--tls-certificate', certificateFile, '--tls-key', keyFile);
  onlyFault(served, 'files', /tls\.keyFile .* all users of this machine can read it/, /chmod 600/);
});

test('a file that the configuration names and that does not exist', async () => {
  await using layer = await StoppedLayer.create();
  await using parent = await serveHttp((_, response) => response.writeHead(404).end());
  const missing = join(layer.data, 'missing.pem');
  const url = parent.url.replace('http:', 'https:');
  const found = await layer.examine('--parent', url, '--parent-ca', missing);
  onlyFault(found, 'files', /parent\.caFile .* does not exist/, /write it there, or name another file/);
  const unchecked = found.report.checks.filter(({ about }) => about === 'parent.caFile can not be read here');
  assert.ok(unchecked.some(({ check }) => check === 'parent-login'));
});

test('an address that another program listens on', async () => {
  await using layer = await StoppedLayer.create();
  const other = createServer();
  const [host = '', port] = layer.listen.split(':');
  await once(other.listen(Number(port), host), 'listening');
  try {
    onlyFault(await layer.examine(), 'listen', /is in use by another program/, /choose another address/);
  } finally {
    other.close();
  }
});

test('a process that holds the data folder, and whose bus does not answer', async () => {
  await using layer = await StoppedLayer.create();
  const claim = claimPid(join(layer.data, 'run/terrace.pid'));
  assert.ok('stale' in claim);
  const found = await layer.examine();
  onlyFault(
    found,
    'instance',
    new RegExp(`^process ${process.pid} holds .* bus does not answer$`),
    /terrace\.log/,
  );
});

test('a copy of the data folder of a layer that runs', async () => {
  await using layer = await testLayer({ compact: 'hosted' });
  const data = await mkdtemp(join(tmpdir(), 'terrace-doctor-'));
  try {
    await cp(join(layer.data, 'bus'), join(data, 'bus'), {
      recursive: true,
      filter: (path) => !path.includes('jetstream'),
    });
    const found = await examined('--data', data, '--listen', `127.0.0.1:${await freePort()}`);
    onlyFault(
      found,
      'instance',
      /is a copy, and the layer that it was copied from runs/,
      /use the folder of the running one/,
    );
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});

test('a process that has the metadata open, and belongs to no layer', async () => {
  await using layer = await StoppedLayer.create();
  const script = `
    const { Level } = require('level');
    const level = new Level(process.argv[1]);
    level.open().then(() => console.log('open'));
    setInterval(() => {}, 1_000);
  `;
  const root = join(import.meta.dirname, '../../..');
  const child = spawn(process.execPath, ['-e', script, join(layer.data, 'metadata')], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    const found = await layer.examine();
    onlyFault(found, 'instance', new RegExp(`^process ${child.pid} uses the metadata of `), /^stop it/);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

test('a nats-server that is too old, and one that is missing', async (t) => {
  await using layer = await StoppedLayer.create();
  const before = process.env.TERRACE_NATS_SERVER;
  t.after(() => {
    if (before === undefined) delete process.env.TERRACE_NATS_SERVER;
    else process.env.TERRACE_NATS_SERVER = before;
  });
  const old = join(layer.data, 'nats-server');
  await writeFile(old, '#!/bin/sh\necho nats-server: v2.1.9\n', { mode: 0o755 });
  process.env.TERRACE_NATS_SERVER = old;
  onlyFault(
    await layer.examine(),
    'nats-server',
    /2\.1\.9 is too old: the bus needs 2\.9/,
    /install a current version/,
  );
  process.env.TERRACE_NATS_SERVER = join(layer.data, 'none');
  onlyFault(await layer.examine(), 'nats-server', /none is not executable/, /apt-get install nats-server/);
});

test('a certificate for clients that has expired', async () => {
  await using layer = await StoppedLayer.create();
  const { certificateFile, keyFile } = await authority.issue('ended', { days: -1 });
  const found = await layer.examine('--tls-certificate', certificateFile, '--tls-key', keyFile);
  onlyFault(found, 'certificate', /the certificate of this layer expired on /, /write a new certificate/);
});

test('a document that is not valid: each complaint is a fault with its remedy', async () => {
  await using layer = await StoppedLayer.create();
  const config = await layer.write('layer.yaml', 'mode: Sideways\n');
  const found = await layer.examine('--config', config);
  onlyFault(found, 'configuration', /^mode "Sideways" is not valid/, /ReadWrite/);
  notMade(found, 'configuration', 'files', 'certificate');
});

test('probe files are deleted, also those of a command that was killed; nothing else changes', async () => {
  await using layer = await StoppedLayer.create();
  const ended = spawn(process.execPath, ['-e', '']);
  await once(ended, 'exit');
  const entries = async () => (await readdir(layer.data, { recursive: true })).sort();
  const names = await entries();
  await mkdir(join(layer.data, `doctor-${hostname()}-${ended.pid}-0123abcd`));
  await writeFile(join(layer.data, `doctor-${hostname()}-${ended.pid}-0123abcd`, 'a'), 'left');
  const { report } = await layer.examine();
  assert.deepEqual(faultsOf(report), []);
  assert.deepEqual(await entries(), names);
});

test('a data folder that does not exist is not created', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-doctor-'));
  try {
    const { code, report } = await examined(
      '--data',
      join(folder, 'data'),
      '--listen',
      `127.0.0.1:${await freePort()}`,
    );
    assert.equal(code, 0);
    assert.equal(report.checks.find(({ check }) => check === 'data-folder')?.state, 'not checked');
    assert.deepEqual(await readdir(folder), []);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('--only makes the named checks, and shows what they need only if it has a fault', async () => {
  await using layer = await StoppedLayer.create();
  const one = await layer.examine('--only', 'disk', 'memory');
  assert.deepEqual(
    one.report.checks.map(({ check }) => check),
    ['memory', 'disk'],
  );
  const parent = ['--parent', 'http://127.0.0.1:1'];
  const two = await layer.examine(...parent, '--only', 'parent-login');
  assert.deepEqual(
    two.report.checks.map(({ check, state }) => [check, state]),
    [
      ['parent-route', 'fault'],
      ['parent-login', 'not checked'],
    ],
  );
  assert.equal(two.code, 1);
  const { code, text } = await runCommandHere('doctor', '--only', 'parrent-login');
  assert.equal(code, 2);
  assert.match(text, /parent-login/);
});

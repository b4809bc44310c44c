import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { serviceNames } from '#proto/contract/users.ts';
import { NODE_ENV, NODE_FLAGS } from '../../../cli/data/node.ts';
import { FILE_THREADS } from '../../../cli/layer/programs.ts';
import { freePort } from '../../support/ports.ts';
import { runCommand } from '../../support/terrace.ts';
import { until } from '../../support/until.ts';

/** Services without a supervisor, as in separate containers. */

const root = join(import.meta.dirname, '../../..');

type Compose = {
  services: Record<
    string,
    { entrypoint?: string[]; healthcheck?: { test?: string[] }; environment?: Record<string, string> }
  >;
};

test('the compose file starts every service, each with a health check', () => {
  const { services } = parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), {
    merge: true,
  }) as Compose;
  assert.deepEqual(Object.keys(services).sort(), ['init', 'nats', ...serviceNames].sort());
  for (const name of serviceNames) {
    const { entrypoint, healthcheck, environment } = services[name] ?? {};
    assert.deepEqual(entrypoint, ['node', ...NODE_FLAGS, `/opt/terrace/services/${name}/main.ts`]);
    assert.equal(String(environment?.MALLOC_ARENA_MAX), NODE_ENV.MALLOC_ARENA_MAX);
    assert.ok(existsSync(join(root, `services/${name}/main.ts`)));
    assert.equal(healthcheck?.test?.at(-1), name);
    assert.equal(environment?.TERRACE_BUS, 'nats://nats:4222');
    assert.equal(environment?.TERRACE_DATA, '/data', 'terrace token in a container needs no --data');
  }
  const threads = services.storage?.environment?.UV_THREADPOOL_SIZE;
  assert.equal(String(threads), FILE_THREADS.UV_THREADPOOL_SIZE);
  assert.equal(services.gateway?.environment?.TERRACE_LISTEN, '0.0.0.0:5000');
  assert.equal(services.gateway?.environment?.TERRACE_INSECURE_LISTEN, undefined, 'accounts are needed');
});

test('services in separate processes run with the files that terrace init creates', async (context) => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-apart-'));
  const port = await freePort();
  const prepared = await runCommand('init', '--data', data, '--bus', `127.0.0.1:${port}`);
  assert.equal(prepared.code, 0, prepared.text);
  const before = readFileSync(join(data, 'bus/gateway.password'), 'utf8');
  // As an earlier version left it: the permissions of users are rewritten, and their passwords stay.
  const file = join(data, 'bus/nats.conf');
  const conf = readFileSync(file, 'utf8');
  writeFileSync(file, conf.replaceAll('"storage.history.*"', '"$JS.API.>"'));
  assert.equal((await runCommand('init', '--data', data, '--bus', `127.0.0.1:${port}`)).code, 0);
  assert.equal(readFileSync(join(data, 'bus/gateway.password'), 'utf8'), before);
  assert.equal(readFileSync(file, 'utf8'), conf);
  assert.match((await runCommand('health', '--data', data)).text, /no Terrace runs on/);
  // Engines check the health of a starting service every two seconds, so that is answered without Node. 64 starts Node.
  const healthCode = (...parameters: string[]) =>
    spawnSync(join(root, 'cli/health'), ['--data', data, ...parameters]).status;
  assert.deepEqual(
    [
      healthCode(),
      ...serviceNames.map((name) => healthCode('--service', name)),
      healthCode('--service', 'unknown'),
    ],
    [64, ...serviceNames.map(() => 1), 64],
  );

  const children = [spawn('nats-server', ['-c', join(data, 'bus/nats.conf')], { stdio: 'ignore' })];
  const env = {
    ...process.env,
    TERRACE_DATA: data,
    TERRACE_BUS: `nats://127.0.0.1:${port}`,
    TERRACE_LISTEN: `127.0.0.1:${await freePort()}`,
  };
  for (const name of serviceNames) {
    const main = join(root, 'services', name, 'main.ts');
    children.unshift(spawn(process.execPath, [main], { env, stdio: 'ignore' }));
  }
  const stop = async (index: number) => {
    const child = children[index];
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    child.kill('SIGCONT');
    await ended;
  };
  context.after(async () => {
    for (const index of children.keys()) await stop(index);
    await rm(data, { recursive: true, force: true });
  });
  // A gateway publishes its status before it has the configuration and listens.
  const serves = async () => (await fetch(`http://${env.TERRACE_LISTEN}/v2/`)).status === 200;
  await until(() => serves().catch(() => false), 'the gateway serves');
  await until(
    async () => (await runCommand('health', '--data', data)).code === 0,
    'all services are healthy',
  );
  const doctor = await runCommand('doctor', '--data', data);
  assert.equal(doctor.code, 0, doctor.text);
  assert.match(doctor.text, new RegExp(`^ok +listen +${env.TERRACE_LISTEN} accepts connections$`, 'm'));
  const bridge = children[[...serviceNames].reverse().indexOf('twin-bridge')];
  bridge?.kill('SIGSTOP');
  const stuck = await runCommand('health', '--data', data);
  assert.deepEqual(
    [stuck.code, stuck.text.trim()],
    [1, 'terrace: not healthy: twin-bridge'],
    'the process exists, but is stopped',
  );
  bridge?.kill('SIGCONT');
  const storage = [...serviceNames].reverse().indexOf('storage');
  await stop(storage);
  const ill = await runCommand('doctor', '--data', data);
  assert.equal(ill.code, 1);
  assert.match(ill.text, /^FAULT +services +storage does not answer$/m);
  assert.match(ill.text, /\n\n1 fault, /);
  const unhealthy = await runCommand('health', '--data', data);
  assert.deepEqual([unhealthy.code, unhealthy.text.trim()], [1, 'terrace: not healthy: storage']);
  // cli/health, which runs without Node, leaves some cases to this program.
  const node = [...NODE_FLAGS, join(root, 'cli/terrace.ts'), 'health', '--data', data];
  const health = spawnSync(process.execPath, node, { encoding: 'utf8' });
  assert.deepEqual([health.status, health.stderr.trim()], [1, 'terrace: not healthy: storage']);
  assert.equal(spawnSync(process.execPath, [...node, '--service', 'gateway']).status, 0);
  assert.equal((await runCommand('health', '--data', data, '--service', 'gateway')).code, 0);
});

test('terrace init refuses an address that is not valid', async () => {
  const { code, text } = await runCommand('init', '--data', '/nonexistent', '--bus', 'nats');
  assert.equal(code, 2);
  assert.match(text, /--bus "nats" is not valid: write host:port/);
});

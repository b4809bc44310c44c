import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { serviceNames } from '#proto/contract/users.ts';
import { isAlive } from '#proto/process/process-stat.ts';
import { serviceStatus } from '#proto/status/status.ts';
import { testLayer } from '../../support/layer.ts';
import { freePort } from '../../support/ports.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { getManifest, pushImage, readAll } from '../../support/registry/image.ts';
import { runCommand, startCommand } from '../../support/terrace.ts';

/** A layer whose services are one process. */

/** Pids of the processes of this machine that have this text in their command line or environment. */
function processesOf(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const texts = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8'));
      return /^\d+$/.test(pid) && texts.join('\0').includes(text);
    } catch {
      return false;
    }
  });
}

test('a compact layer is one process besides nats-server, and serves its data again after kill -9', async () => {
  await using layer = await testLayer({ compact: true });
  const { layer: pid, ...others } = layer.pids();
  assert.deepEqual(Object.keys(others), ['nats-server']);
  assert.deepEqual(processesOf(layer.data).sort(), Object.values(layer.pids()).map(String).sort());
  const statuses = [...(await layer.bus().list(serviceStatus)).values()];
  assert.deepEqual(statuses.map((status) => status.service).sort(), [...serviceNames].sort());
  for (const status of statuses) assert.equal(status.pid, pid);

  const { digest, bytes } = await pushImage(layer.host, 'compact/app', '1', { layers: [100_000, 3_000_000] });
  await readAll(layer.host, 'compact/app', '1');
  await layer.kill('layer');
  assert.notEqual(layer.pid('layer'), pid);
  assert.deepEqual((await getManifest(layer.host, 'compact/app', '1'))?.bytes, bytes);
  await readAll(layer.host, 'compact/app', digest);

  const pids = Object.values(layer.pids());
  await layer.stop();
  assert.deepEqual(pids.filter(isAlive), []);
  const logged = layer.lines.map(
    (line) => JSON.parse(line) as { service: string; level: number; msg: string },
  );
  for (const name of serviceNames) {
    assert.equal(logged.filter(({ service, msg }) => service === name && msg === 'started').length, 2, name);
  }
  const wrong = logged.filter(({ level, msg }) => level >= 40 && !msg.includes('SIGKILL'));
  assert.deepEqual(wrong, []);
});

test('a compact layer pulls the content of its parent', async () => {
  await using cloud = await startCloud();
  await pushImage(cloud.host, 'compact/app', '1', { layers: [100_000] });
  await using layer = await testLayer({ compact: true, parent: cloud.url, repositories: ['*'] });
  await layer.sync();
  await readAll(layer.host, 'compact/app', '1');
});

test('if one service fails, the process stops all services and ends', async (context) => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-compact-'));
  const port = await freePort();
  await runCommand('init', '--data', data, '--bus', `127.0.0.1:${port}`);
  const nats = spawn('nats-server', ['-c', join(data, 'bus/nats.conf')], { stdio: 'ignore' });
  context.after(async () => {
    nats.kill();
    await once(nats, 'exit');
    await rm(data, { recursive: true, force: true });
  });
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
  const bus = {
    TERRACE_DATA: data,
    TERRACE_BUS: `nats://127.0.0.1:${port}`,
    TERRACE_LISTEN: `127.0.0.1:${port}`,
  };
  const layer = spawn(process.execPath, [join(import.meta.dirname, '../../../services/compact.ts')], {
    env: { ...env, ...bus },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const logged: { service: string; level: number; msg: string }[] = [];
  createInterface({ input: layer.stdout }).on('line', (line) => logged.push(JSON.parse(line)));
  const [code] = await once(layer, 'close');
  assert.equal(code, 1);
  const fatal = logged.filter(({ level }) => level >= 50);
  assert.deepEqual(
    fatal.map(({ service }) => service),
    ['gateway'],
    JSON.stringify(fatal),
  );
});

test('terrace status shows the one process; --compact with several syncers is refused', async () => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-compact-'));
  try {
    const listen = ['--listen', `127.0.0.1:${await freePort()}`];
    const refused = await runCommand('up', '--compact', '--syncers', '2', '--data', data, ...listen);
    assert.equal(refused.code, 2);
    assert.match(
      refused.text,
      /syncers: 2 processes are not possible with --compact: remove syncers or --compact/,
    );

    await using up = startCommand('up', '--compact', '--data', data, ...listen);
    await up.untilOutput(/Ctrl-C stops it/);
    const { text } = await runCommand('status', '--data', data);
    assert.equal(text.match(/ shared /g)?.length, serviceNames.length - 1, text);
    assert.equal((await runCommand('health', '--data', data)).code, 0);
    up.child.kill('SIGTERM');
    assert.equal(await up.exited(), 0);
    assert.doesNotMatch(up.text, /killed|error/i);
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});

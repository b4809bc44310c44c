import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { unhealthyServices, unhealthyText } from '../../../../cli/connection/service-health.ts';
import { Health } from '../../../../services/process/health.ts';
import { quiet } from '../../../support/bus.ts';
import { until } from '../../../support/until.ts';

const CLI = join(import.meta.dirname, '../../../../cli');
/** All programs that the command needs in its PATH, without Node. */
const PROGRAMS = ['sh', 'bash', 'dirname', 'readlink', 'stat'];

test('the health of a layer is reported without Node', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-health-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [bin, data] = [join(folder, 'bin'), join(folder, 'data')];
  for (const path of [bin, data, join(folder, 'cli')]) await mkdir(path);
  for (const name of PROGRAMS) await symlink(await pathOf(name), join(bin, name));
  for (const name of ['terrace', 'health']) await copyFile(join(CLI, name), join(folder, 'cli', name));
  const checkHealth = async (...more: string[]) => {
    const args = [join(folder, 'cli/terrace'), 'health', '--data', data, ...more];
    const child = spawn(join(bin, 'sh'), args, { env: { PATH: bin }, stdio: ['ignore', 'ignore', 'pipe'] });
    const [error, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    return [code, error.trim()];
  };
  const bus = { flush: async () => {} };
  await using gateway = new Health({ service: 'gateway', data, bus, log: quiet });
  await using storage = new Health({ service: 'storage', data, bus, log: quiet });
  await gateway.start();
  await storage.start();
  gateway.serves();
  assert.deepEqual(await checkHealth('--service', 'gateway'), [0, '']);
  const notYet = 'storage (not serving yet), syncer, twin-bridge';
  assert.deepEqual(await checkHealth(), [1, `terrace: not healthy: ${notYet}`]);
  gateway.waits('waiting for the first token');
  const waiting = 'gateway (waiting for the first token)';
  assert.deepEqual(await checkHealth('--service', 'gateway'), [1, `terrace: not healthy: ${waiting}`]);
  assert.equal(unhealthyText(await unhealthyServices(data)), `${waiting}, ${notYet}`);
  gateway.serves();
  assert.equal(unhealthyText(await unhealthyServices(data)), notYet);
});

test('folders of services that start at the same moment stay, and a file that failed to be written is retried', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-health-'));
  t.after(() => rm(data, { recursive: true, force: true }));
  const bus = { flush: async () => {} };
  const hosts = join(data, 'run/health');
  await mkdir(join(hosts, 'starting'), { recursive: true });
  await mkdir(join(hosts, 'stale'));
  await utimes(join(hosts, 'stale'), new Date(0), new Date(0));
  // A file in place of the folder of this host, which is deleted later.
  await writeFile(join(hosts, hostname()), '');
  await using service = new Health({ service: 'storage', data, bus, log: quiet });
  await service.start();
  await rm(join(hosts, hostname()));
  await until(
    () =>
      readdir(join(hosts, hostname())).then(
        (names) => names.length === 1,
        () => false,
      ),
    'the health file',
  );
  await using other = new Health({ service: 'gateway', data, bus, log: quiet });
  await other.start();
  assert.deepEqual((await readdir(hosts)).sort(), [hostname(), 'starting'].sort());
});

async function pathOf(program: string): Promise<string> {
  const child = spawn('/bin/sh', ['-c', `command -v ${program}`], { stdio: ['ignore', 'pipe', 'ignore'] });
  return (await text(child.stdout)).trim();
}

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Health } from '../../../services/process/health.ts';
import { quiet } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

const CLI = join(import.meta.dirname, '../../../cli');
/** All that the command needs on its path, and no Node. */
const PROGRAMS = ['sh', 'bash', 'dirname', 'readlink', 'stat'];

test('the health of a layer is told without Node', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-health-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [bin, data] = [join(folder, 'bin'), join(folder, 'data')];
  for (const path of [bin, data, join(folder, 'cli')]) await mkdir(path);
  for (const name of PROGRAMS) await symlink(await placeOf(name), join(bin, name));
  for (const name of ['terrace', 'health']) await copyFile(join(CLI, name), join(folder, 'cli', name));
  const ask = async (...more: string[]) => {
    const args = [join(folder, 'cli/terrace'), 'health', '--data', data, ...more];
    const asking = spawn(join(bin, 'sh'), args, { env: { PATH: bin }, stdio: ['ignore', 'ignore', 'pipe'] });
    const [said, [code]] = await Promise.all([text(asking.stderr), once(asking, 'exit')]);
    return [code, said.trim()];
  };
  const bus = { flush: async () => {} };
  await using gateway = new Health({ service: 'gateway', data, bus, log: quiet });
  await using storage = new Health({ service: 'storage', data, bus, log: quiet });
  await gateway.start();
  await storage.start();
  gateway.serves();
  assert.deepEqual(await ask('--service', 'gateway'), [0, '']);
  assert.deepEqual(await ask(), [1, 'terrace: not healthy: storage, syncer, twin-bridge']);
});

test('folders of services that start at the same moment stay, and one that could not be written is written later', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'terrace-health-'));
  t.after(() => rm(data, { recursive: true, force: true }));
  const bus = { flush: async () => {} };
  const all = join(data, 'run/health');
  await mkdir(join(all, 'starting'), { recursive: true });
  await mkdir(join(all, 'gone'));
  await utimes(join(all, 'gone'), new Date(0), new Date(0));
  // In the place of its folder, until somebody takes it away.
  await writeFile(join(all, hostname()), '');
  await using service = new Health({ service: 'storage', data, bus, log: quiet });
  await service.start();
  await rm(join(all, hostname()));
  await until(
    () =>
      readdir(join(all, hostname())).then(
        (names) => names.length === 1,
        () => false,
      ),
    'its file',
  );
  await using other = new Health({ service: 'gateway', data, bus, log: quiet });
  await other.start();
  assert.deepEqual((await readdir(all)).sort(), [hostname(), 'starting'].sort());
});

async function placeOf(program: string): Promise<string> {
  const looking = spawn('/bin/sh', ['-c', `command -v ${program}`], { stdio: ['ignore', 'pipe', 'ignore'] });
  return (await text(looking.stdout)).trim();
}

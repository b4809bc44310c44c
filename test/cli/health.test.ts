import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Health } from '../../services/health.ts';
import { quiet } from '../support/bus.ts';

const CLI = join(import.meta.dirname, '../../cli');
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
  assert.deepEqual(await ask(), [1, 'terrace: not well: storage, syncer, twin-bridge']);
});

async function placeOf(program: string): Promise<string> {
  const looking = spawn('/bin/sh', ['-c', `command -v ${program}`], { stdio: ['ignore', 'pipe', 'ignore'] });
  return (await text(looking.stdout)).trim();
}

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../../support/until.ts';
import { workersOf } from './delta-rig.ts';

test('a process that makes a delta ends with the syncer that started it, and leaves no file', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-orphan-'));
  t.after(() => rm(folder, { recursive: true, maxRetries: 10 }));
  const syncer = spawn(process.execPath, [join(import.meta.dirname, 'orphan.ts'), folder], {
    stdio: 'inherit',
  });
  const ended = once(syncer, 'exit');
  let pids: number[] = [];
  await until(async () => {
    pids = await workersOf(syncer.pid as number);
    return pids.length > 0;
  }, 'a process for the delta');
  syncer.kill('SIGKILL');
  await ended;
  await until(() => pids.every((pid) => !existsSync(`/proc/${pid}`)), 'the end of the process for the delta');
  assert.deepEqual((await readdir(folder)).toSorted(), ['1', '2']);
});

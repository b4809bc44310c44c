import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

/** Durations are measured with `performance.now()`: the time of day may be set meanwhile, by years. */

const root = join(import.meta.dirname, '..');
const RECKONING = /Date\.now(\(\))?\s*[-+<>]|[-+<>]=?\s*Date\.now/;

/** Lines that compare or compute instants: those of others (expiry, window), and those that are published. */
const DATES: Record<string, number> = {
  'cli/text/progress.ts': 2,
  'proto/iot-edge/workload.ts': 1,
  'services/gateway/auth/account-cache.ts': 1,
  'services/process/health.ts': 1,
  'services/syncer/coordinator/pass-clock.ts': 1,
  'services/syncer/notify/delivery.ts': 1,
  'services/syncer/schedule/alarm.ts': 1,
  'services/syncer/transfer/download-steps.ts': 1,
  'services/syncer/transfer/transfer.machine.ts': 1,
  'services/syncer/transfer/upload-steps.ts': 1,
  'services/syncer/transfer/worker.ts': 2,
};

test('no duration is measured by the time of day', () => {
  const files = execFileSync('git', ['ls-files', 'cli', 'proto', 'services'], {
    cwd: root,
    encoding: 'utf8',
  });
  const found: Record<string, number> = {};
  for (const file of files.split('\n').filter((name) => name.endsWith('.ts'))) {
    const lines = readFileSync(join(root, file), 'utf8').split('\n');
    const count = lines.filter((line) => RECKONING.test(line.replace('=> Date.now', ''))).length;
    if (count > 0) found[file] = count;
  }
  assert.deepEqual(found, DATES);
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

/** Durations are measured with `performance.now()`: the wall clock may be set at any time. */

const root = join(import.meta.dirname, '..');
const DATE_ARITHMETIC = /Date\.now(\(\))?\s*[-+<>]|[-+<>]=?\s*Date\.now/;

/** Lines of each file that compute or compare dates: those of others (expiry, window, files), and published ones. */
const LINES_WITH_DATES: Record<string, number> = {
  'cli/doctor/data/instance.ts': 1,
  'cli/doctor/data/probe-files.ts': 1,
  'cli/text/progress.ts': 2,
  'proto/iot-edge/workload.ts': 1,
  'services/gateway/auth/account-cache.ts': 1,
  'services/process/health.ts': 1,
  'services/syncer/coordinator/pass-clock.ts': 1,
  'services/syncer/delta/jobs/scratch-folder.ts': 1,
  'services/syncer/notify/delivery.ts': 1,
  'services/syncer/schedule/alarm.ts': 1,
  'services/syncer/transfer/download-steps.ts': 1,
  'services/syncer/transfer/pass-cancellation.ts': 1,
  'services/syncer/transfer/run-transfer.ts': 2,
  'services/syncer/transfer/transfer.machine.ts': 1,
  'services/syncer/transfer/upload-steps.ts': 1,
};

test('no duration is measured with the wall clock', () => {
  const files = execFileSync('git', ['ls-files', 'cli', 'proto', 'services'], {
    cwd: root,
    encoding: 'utf8',
  });
  const found: Record<string, number> = {};
  for (const file of files.split('\n').filter((name) => name.endsWith('.ts'))) {
    const lines = readFileSync(join(root, file), 'utf8').split('\n');
    const count = lines.filter((line) => DATE_ARITHMETIC.test(line.replace('=> Date.now', ''))).length;
    if (count > 0) found[file] = count;
  }
  assert.deepEqual(found, LINES_WITH_DATES);
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

/** What takes a while is measured by `performance.now()`: the clock of the day may be set meanwhile, by years. */

const root = join(import.meta.dirname, '..');
const RECKONING = /Date\.now(\(\))?\s*[-+<>]|[-+<>]=?\s*Date\.now/;

/** Where a date is compared that somebody else gave, or one is told; and where what waits for it looks at the clock again and again. */
const DATES: Record<string, number> = {
  'cli/progress.ts': 2,
  'proto/workload.ts': 1,
  'services/gateway/accounts.ts': 1,
  'services/health.ts': 1,
  'services/syncer/alarm.ts': 1,
  'services/syncer/clock.ts': 1,
  'services/syncer/link/activation.ts': 1,
  'services/syncer/notify/teller.ts': 1,
  'services/syncer/transfer/transfer-steps.ts': 1,
  'services/syncer/transfer/transfer.machine.ts': 1,
  'services/syncer/transfer/upload-steps.ts': 1,
  'services/syncer/transfer/worker.ts': 2,
};

test('nothing that takes a while is measured by the clock of the day', () => {
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

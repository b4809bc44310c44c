import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test('without a free file descriptor, no delta is made, and the syncer goes on', () => {
  const program = join(import.meta.dirname, 'no-descriptors.ts');
  const command = 'ulimit -n 64; exec "$0" "$1"';
  assert.equal(
    execFileSync('/bin/sh', ['-c', command, process.execPath, program], { encoding: 'utf8' }),
    'unavailable',
  );
});

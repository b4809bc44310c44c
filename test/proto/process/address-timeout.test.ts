import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

test('each address of a name gets time for a handshake over a slow link', () => {
  const script = `
    const { setAddressTimeout } = await import('#proto/process/address-timeout.ts');
    setAddressTimeout();
    console.log((await import('node:net')).getDefaultAutoSelectFamilyAttemptTimeout());`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(stdout, '5000\n');
});

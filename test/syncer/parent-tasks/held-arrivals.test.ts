import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest } from '#proto/oci/names.ts';
import { HeldArrivals } from '../../../services/syncer/parent-tasks/held-arrivals.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;

test('content of years over a slow link is held back, and not pulled at once', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on('warning', onWarning);
  const held = new HeldArrivals({ release: () => assert.fail('it was pulled'), held() {} });
  held.hold({ repository: 'app', digest, size: 1 } as never, 2 ** 40);
  await new Promise(setImmediate);
  process.off('warning', onWarning);
  assert.deepEqual([warnings, held.has(digest)], [[], true]);
  held.endWhere(() => true);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import {
  type LeftOutChild,
  readLeftOutManifests,
} from '../../../../services/syncer/reconcile/context/lists.ts';

test('a child that many sparse indexes leave out is listed once for each of them', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const all = Array.from({ length: 2_500 }, (_, at) => ({
    digest,
    platform: 'linux/arm64',
    index: `sha256:${String(at).padStart(64, '0')}`,
  }));
  let requests = 0;
  const call = async (_: unknown, { after = '', limit }: { after?: string; limit: number }) => {
    requests += 1;
    assert.ok(requests < 10, 'the list has no end');
    const rest = all.filter((one) => `${one.digest}!${one.index}` > after);
    return { leftOut: rest.slice(0, limit), more: rest.length > limit };
  };
  const found = await readLeftOutManifests({ call } as unknown as Bus, 'app', new AbortController().signal);
  assert.deepEqual(found, all as LeftOutChild[]);
});

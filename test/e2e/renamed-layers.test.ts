import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tagMoved } from '#proto/content/content-events.ts';
import { testLayer } from '../support/layer.ts';
import { getManifest, pushImage, tagsOf } from '../support/registry/image.ts';
import { until } from '../support/until.ts';

test('changes follow a rename through two layers, up and down', async () => {
  await using top = await testLayer({ name: 'top', compact: 'hosted' });
  const live = { schedule: '* * * * *', compact: 'hosted' } as const;
  await using middle = await testLayer({
    ...live,
    name: 'middle',
    parent: top.url,
    repositories: [{ from: 'line/*', as: 'plant/*' }],
  });
  await using bottom = await testLayer({
    ...live,
    name: 'bottom',
    parent: middle.url,
    repositories: [{ from: '*', as: 'above/*' }],
  });
  const down = await pushImage(top.url, 'line/app', 'v1', { layers: [100_000] });
  await bottom.event(tagMoved, ({ repository, tag }) => repository === 'above/plant/app' && tag === 'v1');
  assert.equal((await getManifest(bottom.url, 'above/plant/app', 'v1'))?.digest, down.digest);
  const up = await pushImage(bottom.url, 'above/plant/app', 'v2', { layers: [100_000] });
  await until(async () => (await tagsOf(top.url, 'line/app')).includes('v2'));
  assert.equal((await getManifest(top.url, 'line/app', 'v2'))?.digest, up.digest);
});

import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import { collectGarbage } from '#proto/content/maintenance.ts';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';
import { testLayer } from '../../support/layer.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { firstDifference, pushImage, tagsOf } from '../../support/registry/image.ts';
import { until } from '../../support/until.ts';

/** The wall clock of a running layer, and of the one below it, is set by decades: everything goes on. */

const YEARS = 56 * 365 * 86_400_000;
const { now } = Date;
afterEach(() => mock.restoreAll());
const setClock = (ms: number) => {
  mock.restoreAll();
  mock.method(Date, 'now', () => now() + ms);
};

for (const [name, jumps] of [
  ['ahead', [YEARS, YEARS + 1]],
  ['back', [-YEARS, 0]],
] as const) {
  test(`a layer whose clock is set ${name} by decades, and later corrected, goes on`, async () => {
    await using cloud = await startCloud();
    const image = (tag: string) => pushImage(cloud.url, 'app', tag, { layers: [{ seed: tag, size: 5_000 }] });
    await image('v0');
    const hosted = { compact: 'hosted', mode: 'ReadWrite' } as const;
    await using upper = await testLayer({ ...hosted, name: 'upper', parent: cloud.url });
    await using lower = await testLayer({ ...hosted, name: 'lower', parent: upper.url });
    const both = async (tag: string) => {
      assert.deepEqual((await upper.sync()).failures, []);
      assert.deepEqual((await lower.sync()).failures, []);
      await until(async () => (await tagsOf(lower.url, 'app')).includes(tag), `${tag} in both layers`);
    };
    await both('v0');
    for (const [round, jump] of jumps.entries()) {
      setClock(jump);
      const tag = `v${round + 1}`;
      await image(tag);
      await both(tag);
      // The other direction, from the lowest layer.
      await pushImage(lower.url, 'app', `up-${round}`, { layers: [{ seed: `up-${round}`, size: 5_000 }] });
      await until(async () => {
        await lower.sync();
        await upper.sync();
        return (await tagsOf(cloud.url, 'app')).includes(`up-${round}`);
      }, 'the push in the cloud');
      for (const layer of [upper, lower]) {
        await layer.bus().call(collectGarbage, { dryRun: false });
        assert.equal(await firstDifference(cloud.url, layer.host, ['app']), undefined);
        const link = await layer.bus().get(linkStatus, LINK_KEY);
        assert.equal(link?.value.state, 'Online');
      }
    }
  });
}

import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { historyLost } from '#proto/bus/history.ts';
import { tagMoved } from '#proto/content/content-events.ts';
import { transferProgressed } from '#proto/sync/transfers.ts';
import { dataFolder } from '../../../cli/data/data-folder.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { pushImage } from '../../support/registry/image.ts';
import { ask } from '../../support/registry/registry.ts';
import { run } from '../../support/terrace.ts';
import { slowed } from '../../support/until.ts';

/** What replay prints after the store of the bus was exchanged: true, or said to be unknown. */

type Transfer = { digest: string; state: string; done: number; size: number; unknown?: string };
type Found = { transfers: Transfer[]; gaps: object[] };

async function killAll(layer: TestLayer): Promise<void> {
  for (const program of Object.keys(layer.pids())) layer.killNow(program);
  await layer.stop();
}

describe('the store of the bus is exchanged', { concurrency: true }, () => {
  for (const [what, older] of [
    ['an older copy of itself', true],
    ['deleted', false],
  ] as const) {
    test(`everything is killed, and the store of the bus is ${what}: syncing goes on by itself`, async () => {
      await using stack = new AsyncDisposableStack();
      const cloud = stack.use(await startCloud());
      const slow = { total: slowed(700_000) };
      const link = stack.use(await startProxy(cloud.url, { bandwidth: slow }));
      const copy = await mkdtemp(join(tmpdir(), 'terrace-copy-'));
      stack.defer(() => rm(copy, { recursive: true, force: true }));
      const first = await pushImage(cloud.host, 'app', 'v1', { layers: [2_000_000, 50_000] });
      const data = await mkdtemp(join(tmpdir(), 'terrace-store-'));
      stack.defer(() => rm(data, { recursive: true, force: true }));
      const layer = stack.use(
        await testLayer({ compact: true, parent: link.url, schedule: '* * * * *', data }),
      );
      const { jetstream } = dataFolder(layer.data);
      const moves = (size: number) =>
        layer.event(transferProgressed, (told) => told.size === size && told.done > size / 10);

      await moves(2_000_000);
      await killAll(layer);
      await cp(jetstream, copy, { recursive: true });
      link.bandwidth = {};
      await layer.start();
      await layer.event(tagMoved, ({ tag }) => tag === 'v1');
      link.bandwidth = slow;

      const second = await pushImage(cloud.host, 'app', 'v2', { layers: [2_500_000] });
      void layer.sync().catch(() => {});
      await moves(2_500_000);
      await killAll(layer);
      await rm(jetstream, { recursive: true });
      if (older) await cp(copy, jetstream, { recursive: true });
      layer.events.splice(0);
      link.bandwidth = {};
      await layer.start();
      await layer.event(tagMoved, ({ tag }) => tag === 'v2');
      await layer.event(historyLost);

      const { stdout, code } = await run('replay', '--data', layer.data, '--json');
      assert.equal(code, 0);
      const { transfers, gaps } = JSON.parse(stdout) as Found;
      assert.ok(gaps.length > 0, 'what is missing is said');
      const wrong = transfers.filter(({ state, unknown }) => state !== 'finished' && !unknown);
      assert.deepEqual(wrong, [], 'all of them are here, and nothing else is claimed');
      const large = second.layers[0]?.digest;
      const moved = transfers.find(({ digest }) => digest === large);
      assert.deepEqual([moved?.state, moved?.done], ['finished', 2_500_000]);
      for (const { digest } of [first.config, ...first.layers, second.config, ...second.layers]) {
        assert.equal((await ask(layer.host, `/v2/app/blobs/${digest}`, { method: 'HEAD' })).status, 200);
      }
    });
  }
});

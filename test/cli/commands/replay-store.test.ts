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
import { request } from '../../support/registry/registry.ts';
import { runCommand } from '../../support/terrace.ts';
import { slowedRate } from '../../support/until.ts';

/** What `terrace replay` prints after the store of the bus was replaced is correct, or marked as unknown. */

type Transfer = { digest: string; state: string; done: number; size: number; unknown?: string };
type Output = { transfers: Transfer[]; gaps: object[] };

async function killAll(layer: TestLayer): Promise<void> {
  for (const program of Object.keys(layer.pids())) layer.killWithoutWaiting(program);
  await layer.stop();
}

describe('the store of the bus is replaced', { concurrency: true }, () => {
  for (const [change, isOlder] of [
    ['replaced by an older copy', true],
    ['deleted', false],
  ] as const) {
    test(`all processes are killed and the store of the bus is ${change}: synchronization continues by itself`, async () => {
      await using stack = new AsyncDisposableStack();
      const cloud = stack.use(await startCloud());
      const slow = { total: slowedRate(700_000) };
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
      const progresses = (size: number) =>
        layer.event(transferProgressed, (transfer) => transfer.size === size && transfer.done > size / 10);

      await progresses(2_000_000);
      await killAll(layer);
      await cp(jetstream, copy, { recursive: true });
      link.bandwidth = {};
      await layer.start();
      await layer.event(tagMoved, ({ tag }) => tag === 'v1');
      link.bandwidth = slow;

      const second = await pushImage(cloud.host, 'app', 'v2', { layers: [2_500_000] });
      void layer.sync().catch(() => {});
      await progresses(2_500_000);
      await killAll(layer);
      await rm(jetstream, { recursive: true });
      if (isOlder) await cp(copy, jetstream, { recursive: true });
      layer.events.splice(0);
      link.bandwidth = {};
      await layer.start();
      await layer.event(tagMoved, ({ tag }) => tag === 'v2');
      await layer.event(historyLost);

      const { stdout, code } = await runCommand('replay', '--data', layer.data, '--json');
      assert.equal(code, 0);
      const { transfers, gaps } = JSON.parse(stdout) as Output;
      assert.ok(gaps.length > 0, 'the gap is reported');
      const wrong = transfers.filter(({ state, unknown }) => state !== 'finished' && !unknown);
      assert.deepEqual(wrong, [], 'only finished transfers are reported as known');
      const large = second.layers[0]?.digest;
      const moved = transfers.find(({ digest }) => digest === large);
      assert.deepEqual([moved?.state, moved?.done], ['finished', 2_500_000]);
      for (const { digest } of [first.config, ...first.layers, second.config, ...second.layers]) {
        assert.equal((await request(layer.host, `/v2/app/blobs/${digest}`, { method: 'HEAD' })).status, 200);
      }
    });
  }
});

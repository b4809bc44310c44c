import assert from 'node:assert/strict';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runBackup } from '#proto/content/backups.ts';
import { layerRestored, type ReportedChanges } from '#proto/content/restored.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { startCloud } from '../support/registry/cloud.ts';
import { deleteManifest, getManifest, pushImage, tagsOf } from '../support/registry/image.ts';
import { settle } from '../support/settle.ts';
import { runCommand } from '../support/terrace.ts';
import { until } from '../support/until.ts';

/** A layer between a parent and a ReadWrite child is lost, and restored from a backup that is older than they are. */

for (const kind of ['a Terrace', 'docker-registry']) {
  const stack = new AsyncDisposableStack();
  let root: string;
  let above: { host: string; url: string };
  let top: TestLayer | undefined;
  let layer: TestLayer;
  let child: TestLayer;

  const app = 'line/app';
  const digests: Record<string, string> = {};
  const push = async (host: string, tag: string, name = tag) => {
    digests[name] = (await pushImage(host, app, tag, { layers: [1_000 + name.length, 3_000] })).digest;
  };
  const at = async (host: string, tag: string) => (await getManifest(host, app, tag))?.digest;

  test(`nothing that exists anywhere is lost by a restore below ${kind}`, async (context) => {
    context.after(() => stack.disposeAsync());
    root = await mkdtemp(join(tmpdir(), 'terrace-restored-'));
    stack.defer(() => rm(root, { recursive: true, force: true }));
    if (kind === 'a Terrace') {
      top = stack.use(await testLayer({ name: 'top', compact: 'hosted' }));
      above = top;
    } else above = stack.use(await startCloud());
    const data = join(root, 'data');
    const options = { compact: 'hosted', mode: 'ReadWrite' } as const;
    layer = stack.use(
      await testLayer({ ...options, name: 'mid', parent: above.url, data, repositories: ['line/*'] }),
    );
    child = stack.use(
      await testLayer({ ...options, name: 'c', parent: layer.url, repositories: ['line/*'] }),
    );
    const passes = [child, layer].map((one) => () => one.sync({ full: true }));
    const converge = () => settle(passes, 60_000);

    const restoredReport = async () => {
      await layer.event(layerRestored);
      return layer.bus().call(storageStatus, {});
    };

    for (const tag of ['same', 'moved', 'deleted', 'child-moved', 'half']) await push(layer.host, tag);
    await converge();
    await push(layer.host, 'waiting');
    const target = join(root, 'b');
    await layer.bus().call(runBackup, { target });

    // Up and down after the backup.
    await push(layer.host, 'new');
    await push(layer.host, 'moved', 'moved-again');
    await deleteManifest(layer.host, app, 'deleted');
    await push(child.host, 'from-child');
    await push(child.host, 'child-moved', 'child-moved-again');
    // No selection covers it: only the events of it go up.
    const { digest: lost } = await pushImage(layer.host, 'kept/app', 'v1');
    await converge();
    const isReported = async () => {
      const path = '/v2/_terrace/children/mid/events?since=0&until=9000000000000&layer=mid';
      const { changes } = (await (await fetch(`${above.url}${path}`)).json()) as ReportedChanges;
      return changes.some(({ repository, digest }) => repository === 'kept/app' && digest === lost);
    };
    if (kind === 'a Terrace') await until(isReported, 'the parent has the event');
    // Only down: the child has them.
    await push(layer.host, 'only-below');
    await push(child.host, 'half', 'half-again');
    await child.sync();
    assert.equal(await at(layer.host, 'half'), digests['half-again']);

    await layer.stop();
    await rename(data, `${data}-lost`);
    const done = await runCommand('restore', target, '--data', data);
    assert.equal(done.code, 0, done.text);
    await layer.start();
    await converge();

    const { restored } = await restoredReport();
    if (kind === 'a Terrace') {
      const { known, complete, lost: count, lostFirst, returned } = restored?.report ?? {};
      assert.deepEqual([known, complete, count, returned], [true, true, 1, 0]);
      assert.deepEqual(lostFirst, [`kept/app:v1@${lost}`]);
    } else assert.deepEqual([restored?.report?.known, restored?.report?.lost], [false, 0]);

    const expected: [string, string][] = [
      ['same', 'same'],
      ['waiting', 'waiting'],
      ['new', 'new'],
      ['moved', 'moved-again'],
      ['from-child', 'from-child'],
      ['child-moved', 'child-moved-again'],
      ['only-below', 'only-below'],
      // Only the child has the other one: a conflict, which the policy resolves.
      ['half', 'half'],
    ];
    for (const { host } of [above, layer, child]) {
      for (const [tag, name] of expected)
        assert.equal(await at(host, tag), digests[name], `${tag} at ${host}`);
      // The layer compares with its parent before the child compares with it: what that has is no conflict.
      const conflicts = (await tagsOf(host, app)).filter((tag) => tag.includes('.conflict-'));
      assert.deepEqual(
        conflicts.filter((tag) => !tag.startsWith('half.conflict-c-')),
        [],
      );
      assert.deepEqual(await Promise.all(conflicts.map((tag) => at(host, tag))), [digests['half-again']]);
      assert.deepEqual(
        (await tagsOf(host, app)).filter((tag) => !tag.includes('.conflict-')),
        expected.map(([tag]) => tag).sort(),
      );
    }
  });
}

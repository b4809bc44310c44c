import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Transfers } from '#proto/api/transfers.ts';
import { layerStatus } from '#proto/overview/layer-status.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { testLayer } from '../../../support/layer.ts';
import { startProxy } from '../../../support/proxy/fault-proxy.ts';
import { startCloud } from '../../../support/registry/cloud.ts';
import { pushImage } from '../../../support/registry/image.ts';
import { startCommand } from '../../../support/terrace.ts';
import { until } from '../../../support/until.ts';

test('transfers are shown while they run and while they wait, as the API answers them', async () => {
  await using cloud = await startCloud();
  const image = await pushImage(cloud.url, 'line/web', '1', { layers: [6_000_000] });
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: 500_000 } });
  await using layer = await testLayer({ parent: proxy.url, compact: 'hosted', repositories: ['line/*'] });
  const terrace = async (...parameters: string[]) => {
    const { code, text, stdout } = await runCommandHere('transfers', ...parameters, '--data', layer.data);
    assert.equal(code, 0, text);
    return stdout;
  };
  const pass = layer.sync();
  pass.catch(() => {});
  const [blob] = image.layers;
  const active = async () =>
    (await layerStatus(layer.bus())).syncers
      .flatMap(({ transfers }) => transfers)
      .find(({ digest }) => digest === blob?.digest);
  await until(async () => (await active())?.rate !== undefined, 'the layer of the image moves');

  const text = await terrace();
  assert.match(text, /^1 transfer, .*\/s down\.\n {3}REPOSITORY +BLOB +DONE +RATE +LEFT/);
  assert.match(
    text,
    new RegExp(
      `\n↓ +line/web +${blob?.digest.slice(7, 19)} +\\S+ [kM]B of 6\\.0 MB \\(\\d+ %\\) +\\S+ kB/s +\\d+ s +syncer-`,
    ),
  );
  const [item] = (JSON.parse(await terrace('--json')) as Transfers).items;
  const answer = (await (await fetch(`${layer.url}/api/v1/transfers`)).json()) as Transfers;
  const same = ({ digest, size, direction, syncer, retries }: Transfers['items'][number]) => [
    digest,
    size,
    direction,
    syncer,
    retries,
  ];
  assert.deepEqual(item && same(item), answer.items[0] && same(answer.items[0]));
  assert.deepEqual([item?.digest, item?.retries, (item?.left ?? 0) > 0], [blob?.digest, 0, true]);
  assert.deepEqual(Object.keys(answer.waiting ?? {}), ['down', 'up']);

  // Without the parent, the transfer waits between its attempts.
  await proxy.down();
  await until(async () => (await active())?.waits !== undefined, 'the transfer waits');
  const waiting = await terrace();
  assert.match(waiting, /waits \d+ s: [a-z-]+, (\d+ retr(y|ies), )?syncer-/);

  await using watching = startCommand('transfers', '--watch', '0.5', '--json', '--data', layer.data);
  await watching.untilOutput(/"items":\[\{.*\n.*"items"/);
  watching.child.kill('SIGINT');
  assert.equal(await watching.exited(), 0, watching.text);
  await proxy.up();
  proxy.bandwidth = {};
  assert.equal((await pass).ok, true);
  await until(
    async () => (await terrace()) === 'Nothing crosses the link now.\n',
    'all transfers have ended',
  );
});

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Bus } from '#proto/bus/bus.ts';
import { listBases } from '#proto/content/manifests.ts';
import { COORDINATOR_KEY, LINK_KEY, lease, linkStatus } from '#proto/status/status.ts';
import { passFinished, passStarted } from '#proto/sync/passes.ts';
import { dataFolder } from '../../../cli/data/data-folder.ts';
import { quiet } from '../../support/bus.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../support/proxy/fault-proxy.ts';
import type { RecordedRequest } from '../../support/proxy/requests.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import {
  firstDifference,
  getManifest,
  type PushedImage,
  pushImage,
  tagImage,
} from '../../support/registry/image.ts';
import { until } from '../../support/until.ts';

const NOTED = 'noted';
const MOVED = 'moved';
const TAG = 'v';
const OF_TAG = new RegExp(`/manifests/${TAG}$`);

const coordinator = async (layer: TestLayer) => (await layer.bus().get(lease, COORDINATOR_KEY))?.value.holder;
const pidOf = (holder: string) => Number(/-(\d+)-[0-9a-f]+$/.exec(holder)?.[1]);
const push = (layer: TestLayer, repository: string, seed: string) =>
  pushImage(layer.url, repository, TAG, { layers: [{ seed, size: 2_000 }] });
const passes = (layer: TestLayer, { type }: typeof passStarted | typeof passFinished) =>
  layer.events
    .filter((event) => event.type === `terrace.${type}`)
    .map(({ data }) => (data as { pass: string }).pass);
const target = async (url: string, repository: string) => (await getManifest(url, repository, TAG))?.digest;

async function basesOf(layer: TestLayer, repositories: string[]): Promise<(string | undefined)[]> {
  const folder = dataFolder(layer.data);
  const [url, password] = await Promise.all(
    [folder.busUrl, folder.password('syncer')].map(async (file) => (await readFile(file, 'utf8')).trim()),
  );
  const about = { layer: 'test', instance: 'syncer-test', log: quiet };
  await using bus = await Bus.connect({ url: url!, user: 'syncer', password: password!, ...about });
  const bases = repositories.map(async (repository) => {
    const { tags } = await bus.call(listBases, { repository, limit: 10 });
    return tags.find(({ tag }) => tag === TAG)?.digest;
  });
  return await Promise.all(bases);
}

/**
 * Holds back two answers that a pass waits for: that of the PUT of the tag of `NOTED`, after which the pass stores the
 * base; and that of the HEAD of the tag of `MOVED`, after which the pass moves the tag.
 */
function holdPass(proxy: FaultProxy, repositories: string[], hold: Promise<unknown>): () => boolean {
  const held = new Set<string>();
  const once = (repository: string) => {
    if (held.has(repository)) return undefined;
    held.add(repository);
    return { hold };
  };
  const isPut = ({ method, path }: RecordedRequest) =>
    method === 'PUT' && path.includes(`/${MOVED}/manifests/`);
  proxy.fault(({ method, path }) => {
    if (!OF_TAG.test(path)) return undefined;
    if (method === 'PUT' && path.includes(NOTED)) return once(NOTED);
    return method === 'HEAD' && path.includes(MOVED) && proxy.requests.some(isPut) ? once(MOVED) : undefined;
  });
  return () => held.size === repositories.length;
}

/**
 * A coordinator whose clocks went on stops before anything else. One whose clocks stood still continues, and storage
 * refuses its requests; nothing can prevent its requests to the parent in this moment.
 */
const clocks = {
  'and its clocks stood still': {
    repositories: [NOTED],
    env: { NODE_OPTIONS: `--import=${join(import.meta.dirname, '../../support/time/still-clocks.ts')}` },
  },
  ...(process.env.TERRACE_FULL === '1' && {
    'and its clocks went on': { repositories: [NOTED, MOVED], env: {} },
  }),
};

for (const [name, { repositories, env }] of Object.entries(clocks)) {
  test(`a coordinator that was paused during a pass, ${name}, damages nothing`, async () => {
    await using cloud = await startCloud();
    await using proxy = await startProxy(cloud.url);
    await using layer = await testLayer({
      parent: proxy.url,
      repositories: ['*'],
      mode: 'ReadWrite',
      syncers: 2,
      // Changes by clients are pushed at once.
      schedule: '* * * * *',
      env: { TERRACE_STALL_MS: '120000', ...env },
    });
    assert.deepEqual((await layer.sync()).failures, []);
    const release = Promise.withResolvers<void>();
    const held = holdPass(proxy, repositories, release.promise);
    const pushAll = async (seed: string) => {
      const pushed: PushedImage[] = [];
      for (const repository of repositories)
        pushed.push(await push(layer, repository, `${seed} ${repository}`));
      return pushed;
    };
    const [old] = await pushAll('old');
    await proxy.until(held);
    const first = (await coordinator(layer)) as string;
    const begun = passes(layer, passStarted).at(-1) as string;
    process.kill(pidOf(first), 'SIGSTOP');
    try {
      const { pass } = await layer.event(passStarted, ({ coordinator }) => coordinator !== first);
      assert.deepEqual((await layer.event(passFinished, (data) => data.pass === pass)).failures, []);
      const newer = (await pushAll('newer')).map(({ digest }) => digest);
      const bases = () => basesOf(layer, repositories);
      await until(async () => String(await bases()) === String(newer));

      // The answers arrive before the process continues: it handles them before it reads any clock.
      release.resolve();
      await proxy.until(() => proxy.requests.every(({ ended, path }) => ended || !OF_TAG.test(path)));
      process.kill(pidOf(first), 'SIGCONT');
      const hasLogged = () =>
        layer.lines.some(
          (line) => line.includes(`"pid":${pidOf(first)}`) && line.includes('no longer the coord'),
        );
      await until(async () => hasLogged());

      assert.notEqual(await coordinator(layer), first);
      assert.deepEqual(await bases(), newer);
      for (const [index, repository] of repositories.entries()) {
        assert.equal(await target(layer.url, repository), newer[index]);
        assert.equal(await target(cloud.url, repository), newer[index]);
      }
      assert.ok(!passes(layer, passFinished).includes(begun), 'the paused pass published its result');
      const { taken, sent, failures } = await layer.sync();
      assert.deepEqual({ taken, sent, failures }, { taken: 0, sent: 0, failures: [] });
      assert.equal((await layer.bus().get(linkStatus, LINK_KEY))?.value.state, 'Online');
      // With the base of the paused pass, this would count as a change of the layer.
      await tagImage(cloud.url, NOTED, old!, TAG);
      assert.deepEqual((await layer.sync()).failures, []);
      assert.equal(await target(layer.url, NOTED), old!.digest);
      assert.equal(await firstDifference(cloud.url, layer.url, repositories), undefined);
    } finally {
      release.resolve();
      process.kill(pidOf(first), 'SIGCONT');
    }
  });
}

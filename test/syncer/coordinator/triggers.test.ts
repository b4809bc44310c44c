import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, mock, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import { passStarted } from '#proto/sync/passes.ts';
import { subscribeTriggers } from '../../../services/syncer/coordinator/triggers.ts';
import {
  MAX_SCOPE_ENTRIES,
  type PassRequest,
} from '../../../services/syncer/reconcile/context/pass-request.ts';
import { until } from '../../gateway/layer.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import { pushArtifact, pushImage, sameContent, tagImage, tagsOf } from '../../support/registry/image.ts';
import { slowed } from '../../support/until.ts';

describe('which events ask for a pass', () => {
  const heard = new Map<string, (heard: { data: unknown }) => void>();
  const bus = {
    listen: ({ type }: { type: string }, handler: (heard: { data: unknown }) => void) => {
      heard.set(type, handler);
      return () => heard.delete(type);
    },
  } as unknown as Bus;
  const say = (type: string, data: object) => heard.get(type)?.({ data });
  let wishes: PassRequest[];
  let end: () => void;
  let live: boolean;

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    wishes = [];
    live = true;
    const isPushedAtOnce = (repository: string) => live && repository !== 'other';
    end = subscribeTriggers({ bus, isPushedAtOnce, requestPass: (wish) => wishes.push(wish) });
  });
  afterEach(() => {
    end();
    mock.timers.reset();
  });

  const scopes = () =>
    wishes.map(({ scope }) => scope && [...scope].map(([name, entries]) => [name, ...entries]));

  test('changes of a second are one wish, with all that changed', () => {
    say('manifest.committed', { repository: 'app', digest: 'sha256:1' });
    mock.timers.tick(900);
    say('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1' });
    say('tag.deleted', { repository: 'base', tag: 'old', from: 'sha256:0' });
    say('manifest.deleted', { repository: 'base', digest: 'sha256:0' });
    assert.deepEqual(wishes, []);
    mock.timers.tick(100);
    assert.deepEqual(scopes(), [
      [
        ['app', 'sha256:1', 'v1'],
        ['base', 'old', 'sha256:0'],
      ],
    ]);
    say('tag.moved', { repository: 'app', tag: 'v2', digest: 'sha256:1' });
    mock.timers.tick(1_000);
    assert.deepEqual(scopes()[1], [['app', 'v2']]);
  });

  test('what came from the parent, or goes nowhere, asks for nothing', () => {
    say('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1', arrived: true });
    say('manifest.deleted', { repository: 'app', digest: 'sha256:1', arrived: true });
    say('tag.moved', { repository: 'other', tag: 'v1', digest: 'sha256:1' });
    say('space.changed', { low: true });
    live = false;
    say('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1' });
    mock.timers.tick(5_000);
    assert.deepEqual(wishes, []);
  });

  test('damage and space ask for everything, also along with changes', () => {
    say('blob.damaged', { digest: 'sha256:1', size: 1 });
    mock.timers.tick(1_000);
    say('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1' });
    say('space.changed', { low: false });
    mock.timers.tick(1_000);
    assert.deepEqual(scopes(), [undefined, undefined]);
  });

  test('very many changes ask for everything', () => {
    for (let tag = 0; tag <= MAX_SCOPE_ENTRIES; tag += 1) {
      say('tag.moved', { repository: 'app', tag: `v${tag}`, digest: 'sha256:1' });
    }
    mock.timers.tick(1_000);
    assert.deepEqual(scopes(), [undefined]);
  });

  test('after its end it wants nothing', () => {
    say('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1' });
    end();
    mock.timers.tick(5_000);
    assert.deepEqual(wishes, []);
  });
});

describe('a ReadWrite layer below docker-registry, all the time', () => {
  let cloud: Cloud;
  let layer: TestLayer;
  before(async () => {
    cloud = await startCloud();
    layer = await testLayer({
      parent: cloud.url,
      repositories: ['line/*'],
      mode: 'ReadWrite',
      schedule: '* * * * *',
      compact: 'hosted',
    });
  });
  after(async () => {
    await layer?.stop();
    await cloud?.[Symbol.asyncDispose]();
  });

  const above = async (repository: string, reference: string) =>
    (
      await fetch(`${cloud.url}/v2/${repository}/manifests/${reference}`, {
        method: 'HEAD',
        headers: { accept: '*/*, application/vnd.oci.image.manifest.v1+json' },
      })
    ).headers.get('docker-content-digest');
  const changes = () =>
    layer.events.filter(
      ({ type, data }) =>
        type === `terrace.${passStarted.type}` && (data as { cause: string }).cause === 'change',
    ).length;

  test('what clients push, tag and untag is in the cloud within seconds', async () => {
    const image = await pushImage(layer.url, 'line/app', 'v1', { layers: [200_000] });
    await until(async () => (await above('line/app', 'v1')) === image.digest);
    await tagImage(layer.url, 'line/app', image, 'v2');
    await until(async () => (await above('line/app', 'v2')) === image.digest);
    const note = await pushArtifact(layer.url, 'line/app', { subject: image });
    await until(async () => (await above('line/app', note.digest)) === note.digest);
    const next = await pushImage(layer.url, 'line/app', 'v1', { layers: [1_000] });
    await until(async () => (await above('line/app', 'v1')) === next.digest);
    await fetch(`${layer.url}/v2/line/app/manifests/v2`, { method: 'DELETE' });
    await until(async () => (await above('line/app', 'v2')) === null);
    assert.ok(changes() >= 1);
    assert.deepEqual(await tagsOf(layer.url, 'line/app'), ['v1']);
    // The list of referrers under a tag, which only the parent needs, comes down with the next whole pass.
    assert.deepEqual((await layer.sync()).failures, []);
    assert.equal(await sameContent(layer.url, cloud.url, ['line/app']), undefined);
  });

  test('what comes from the cloud, or is not selected, starts no pass of its own', async () => {
    const known = changes();
    await pushImage(cloud.url, 'line/down', 'v1', { layers: [1_000] });
    assert.deepEqual((await layer.sync()).failures, []);
    await pushImage(layer.url, 'own', 'v1', { layers: [1_000] });
    await sleep(1_500);
    assert.equal(changes(), known);
  });

  test('a change goes up while much comes down', async () => {
    await using link = await startProxy(cloud.url, { bandwidth: { total: slowed(1_000_000) } });
    await using other = await testLayer({
      parent: link.url,
      repositories: ['big', 'small'],
      mode: 'ReadWrite',
      schedule: '* * * * *',
      compact: 'hosted',
    });
    const big = await pushImage(cloud.url, 'big', 'v1', { layers: Array(12).fill(1_000_000) });
    const pass = other.sync();
    await link.until(() => link.bytesOf(/big\/blobs/) > 500_000);
    const small = await pushImage(other.url, 'small', 'v1', { layers: [1_000] });
    await until(async () => (await above('small', 'v1')) === small.digest);
    assert.deepEqual(await tagsOf(other.url, 'big').catch(() => []), [], 'the other pass is still under way');
    link.bandwidth = {};
    await pass;
    assert.deepEqual(await tagsOf(other.url, 'big'), ['v1']);
    assert.equal(await above('big', 'v1'), big.digest);
  });
});

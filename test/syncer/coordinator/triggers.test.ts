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
import { referrersTag } from '../../../services/syncer/reconcile/push/referrers-tag.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import { firstDifference, pushArtifact, pushImage, tagImage, tagsOf } from '../../support/registry/image.ts';
import { slowedRate, until } from '../../support/until.ts';

describe('events that request a pass', () => {
  const listeners = new Map<string, (event: { data: unknown }) => void>();
  const bus = {
    listen: ({ type }: { type: string }, handler: (event: { data: unknown }) => void) => {
      listeners.set(type, handler);
      return () => listeners.delete(type);
    },
  } as unknown as Bus;
  const publish = (type: string, data: object) => listeners.get(type)?.({ data });
  let requests: PassRequest[];
  let end: () => void;
  let live: boolean;

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    requests = [];
    live = true;
    const isPushedAtOnce = (repository: string) => live && repository !== 'other';
    end = subscribeTriggers({ bus, isPushedAtOnce, requestPass: (request) => requests.push(request) });
  });
  afterEach(() => {
    end();
    mock.timers.reset();
  });

  const scopes = () =>
    requests.map(({ scope }) => scope && [...scope].map(([name, entries]) => [name, ...entries]));

  test('changes within one second become one request, whose scope has all of them', () => {
    publish('manifest.committed', { repository: 'app', digest: 'sha256:1' });
    mock.timers.tick(900);
    publish('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1' });
    publish('tag.deleted', { repository: 'base', tag: 'old', from: 'sha256:0' });
    publish('manifest.deleted', { repository: 'base', digest: 'sha256:0' });
    assert.deepEqual(requests, []);
    mock.timers.tick(100);
    assert.deepEqual(scopes(), [
      [
        ['app', 'sha256:1', 'v1'],
        ['base', 'old', 'sha256:0'],
      ],
    ]);
    publish('tag.moved', { repository: 'app', tag: 'v2', digest: 'sha256:1' });
    mock.timers.tick(1_000);
    assert.deepEqual(scopes()[1], [['app', 'v2']]);
  });

  test('changes that came from the parent, or are not pushed at once, request no pass', () => {
    publish('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1', arrived: true });
    publish('manifest.deleted', { repository: 'app', digest: 'sha256:1', arrived: true });
    publish('tag.moved', { repository: 'other', tag: 'v1', digest: 'sha256:1' });
    publish('space.changed', { low: true });
    live = false;
    publish('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1' });
    mock.timers.tick(5_000);
    assert.deepEqual(requests, []);
  });

  test('damage and free space request an unscoped pass, also together with changes', () => {
    publish('blob.damaged', { digest: 'sha256:1', size: 1 });
    mock.timers.tick(1_000);
    publish('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1' });
    publish('space.changed', { low: false });
    mock.timers.tick(1_000);
    assert.deepEqual(scopes(), [undefined, undefined]);
  });

  test('more changes than a scope can hold request an unscoped pass', () => {
    for (let tag = 0; tag <= MAX_SCOPE_ENTRIES; tag += 1) {
      publish('tag.moved', { repository: 'app', tag: `v${tag}`, digest: 'sha256:1' });
    }
    mock.timers.tick(1_000);
    assert.deepEqual(scopes(), [undefined]);
  });

  test('an ended subscription requests no pass', () => {
    publish('tag.moved', { repository: 'app', tag: 'v1', digest: 'sha256:1' });
    end();
    mock.timers.tick(5_000);
    assert.deepEqual(requests, []);
  });
});

describe('a ReadWrite layer with a continuous schedule below docker-registry', () => {
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

  const digestAtParent = async (repository: string, reference: string) =>
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

  test('images, tags and deletions by clients reach the parent at once', async () => {
    const image = await pushImage(layer.url, 'line/app', 'v1', { layers: [200_000] });
    await until(async () => (await digestAtParent('line/app', 'v1')) === image.digest);
    await tagImage(layer.url, 'line/app', image, 'v2');
    await until(async () => (await digestAtParent('line/app', 'v2')) === image.digest);
    const note = await pushArtifact(layer.url, 'line/app', { subject: image });
    await until(async () => (await digestAtParent('line/app', note.digest)) === note.digest);
    const next = await pushImage(layer.url, 'line/app', 'v1', { layers: [1_000] });
    await until(async () => (await digestAtParent('line/app', 'v1')) === next.digest);
    await fetch(`${layer.url}/v2/line/app/manifests/v2`, { method: 'DELETE' });
    await until(async () => (await digestAtParent('line/app', 'v2')) === null);
    assert.ok(changes() >= 1);
    // An unscoped pass, which begins at each full minute, pulls the list of referrers, which only the parent needs.
    const tags = await tagsOf(layer.url, 'line/app');
    assert.deepEqual(
      tags.filter((tag) => tag !== referrersTag(image.digest)),
      ['v1'],
    );
    assert.deepEqual((await layer.sync()).failures, []);
    assert.equal(await firstDifference(layer.url, cloud.url, ['line/app']), undefined);
  });

  test('changes that were pulled, or are not selected, start no scoped pass', async () => {
    // What an earlier change requests is a timer of this process, and then a pass before the one that this requests.
    const requested = async () => {
      await sleep(1_500);
      assert.deepEqual((await layer.sync()).failures, []);
    };
    await requested();
    const known = changes();
    await pushImage(cloud.url, 'line/down', 'v1', { layers: [1_000] });
    assert.deepEqual((await layer.sync()).failures, []);
    await pushImage(layer.url, 'own', 'v1', { layers: [1_000] });
    await requested();
    assert.equal(changes(), known);
  });

  test('a change is pushed while a long pull is running', async () => {
    await using link = await startProxy(cloud.url, { bandwidth: { total: slowedRate(1_000_000) } });
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
    await until(async () => (await digestAtParent('small', 'v1')) === small.digest);
    assert.deepEqual(await tagsOf(other.url, 'big').catch(() => []), [], 'the other pass is still running');
    link.bandwidth = {};
    await pass;
    assert.deepEqual(await tagsOf(other.url, 'big'), ['v1']);
    assert.equal(await digestAtParent('big', 'v1'), big.digest);
  });
});

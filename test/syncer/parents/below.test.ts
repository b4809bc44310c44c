import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import {
  type ScriptedRegistry,
  scriptedRegistry,
} from '../../support/registry/scripted/scripted-registry.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';
import { serves } from './parent-rig.ts';

/** A layer below a layer whose own parent has quirks: what is left out above is reported below, too. */

let upper: SyncerRig;
let lower: SyncerRig;
before(async () => {
  upper = await SyncerRig.start('http://127.0.0.1:1', {});
  lower = await SyncerRig.start('http://127.0.0.1:1', {});
});
after(async () => {
  await lower?.[Symbol.asyncDispose]();
  await upper?.[Symbol.asyncDispose]();
});

/** Brings the repository `app` from the registry to the upper layer, and from there to the lower one. */
async function cascade({ url, requests }: ScriptedRegistry, platforms?: string[]) {
  const common = { mode: 'ReadOnly' as const, schedule: '0 0 1 1 *' };
  const app = platforms ? { name: 'app', platforms } : 'app';
  await upper.configureWith({ ...common, parent: { url }, repositories: [app] });
  // The first request shows that the configuration is in force.
  await until(() => requests.length > 0, 'the parent is asked');
  await upper.pass({ full: true });
  await lower.configureWith({ ...common, parent: { url: upper.layer.url }, repositories: ['app'] });
  await until(async () => (await fetch(`${lower.layer.url}/v2/app/tags/list`)).ok);
  const pass = await lower.pass({ full: true });
  const link = await lower.link();
  assert.ok(link);
  return { pass, link };
}

const on = (architecture: string, descriptor: Descriptor) => ({
  ...descriptor,
  platform: { os: 'linux', architecture },
});

test('a platform that the parent of the parent lacks is reported below', async () => {
  await using registry = await scriptedRegistry();
  const amd64 = registry.content.image('app', undefined);
  const missing = { mediaType: mediaTypes.ociManifest, digest: `sha256:${'a'.repeat(64)}`, size: 5 };
  const index = registry.content.index('app', 'v1', [on('amd64', amd64), on('arm64', missing)]);
  const { pass, link } = await cascade(registry);
  for (const one of [amd64, index]) assert.ok(await serves(lower, one), JSON.stringify(pass));
  assert.equal(link.state, 'Online');
  assert.match(link.detail ?? '', /app:v1: the parent has no manifest sha256:aaaa/);
  assert.deepEqual([pass.ok, pass.failed, pass.leftOut?.children], [false, 0, 1]);
  const answer = await fetch(`${lower.layer.url}/v2/app/manifests/${missing.digest}`);
  assert.match(await answer.text(), /the parent of this layer does not provide it \(linux\/arm64\)/);
});

test('a platform that the parent is configured without is not', async () => {
  await using registry = await scriptedRegistry();
  const image = (layer: string) => registry.content.image('app', undefined, { layers: [layer] });
  const [amd64, arm64] = [image('amd64'), image('arm64')];
  const index = registry.content.index('app', 'v1', [on('amd64', amd64), on('arm64', arm64)]);
  const { pass, link } = await cascade(registry, ['linux/amd64']);
  for (const one of [amd64, index]) assert.ok(await serves(lower, one), JSON.stringify(pass));
  assert.ok(!(await serves(lower, arm64)));
  assert.deepEqual([link.state, link.detail, pass.ok], ['Online', undefined, true]);
});

test('a cache of blobs, an artifact and an image of wrong size go on to the layer below', async () => {
  await using registry = await scriptedRegistry();
  const { content } = registry;
  const blob = content.blob('app', `a cached layer ${registry.url}`);
  const cache = content.index('app', 'cache', [blob]);
  const image = content.image('app', 'v1', {
    edit: (document) => ({ ...document, layers: document.layers.map((layer) => ({ ...layer, size: 7 })) }),
  });
  const note = content.image('app', undefined, {
    subject: image,
    artifactType: 'application/vnd.example.note',
  });
  const { pass } = await cascade(registry);
  assert.equal(pass.ok, true, JSON.stringify(pass));
  for (const one of [blob, cache, image, note, ...image.layers]) assert.ok(await serves(lower, one));
});

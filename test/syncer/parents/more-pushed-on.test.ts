import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import {
  type ScriptedRegistry,
  scriptedRegistry,
} from '../../support/registry/scripted/scripted-registry.ts';
import { SyncerRig } from '../syncer-rig.ts';

/** What came from one parent with oddities goes on to another one, and nothing is changed at the first. */

let layer: SyncerRig;
before(async () => {
  layer = await SyncerRig.start('http://127.0.0.1:1', {}, ['one']);
});
after(() => layer[Symbol.asyncDispose]());

const configure = ({ url }: ScriptedRegistry) =>
  layer.reconfigureWith({
    parent: { url },
    repositories: ['app'],
    mode: 'ReadWrite',
    schedule: '0 0 1 1 *',
  });

test('odd images of a parent are left alone there, and are pushed to the next parent', async () => {
  await using first = await scriptedRegistry();
  await using next = await scriptedRegistry();
  const { content } = first;
  const amd64 = content.image('app', undefined);
  const on = (architecture: string, one: Descriptor) => ({ ...one, platform: { os: 'linux', architecture } });
  const missing = { mediaType: mediaTypes.ociManifest, digest: `sha256:${'a'.repeat(64)}`, size: 5 };
  content.index('app', 'sparse', [on('amd64', amd64), on('arm64', missing)]);
  content.image('app', 'resized', {
    edit: (document) => ({ ...document, layers: document.layers.map((one) => ({ ...one, size: 3 })) }),
  });
  content.image('app', 'untyped', { edit: ({ mediaType: _, ...document }) => document });
  content.index('app', 'cache', [content.blob('app', 'a cached layer')]);
  await configure(first);
  assert.equal((await layer.pass()).leftOut?.children, 1);
  assert.deepEqual(
    first.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD'),
    [],
  );
  await configure(next);
  assert.deepEqual((await layer.pass()).failures, []);
  const [here, there] = [content.of('app'), next.content.of('app')];
  assert.deepEqual(new Map([...there.tags].sort()), new Map([...here.tags].sort()));
  for (const digest of here.blobs.keys()) assert.ok(there.blobs.has(digest), digest);
});

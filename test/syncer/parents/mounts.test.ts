import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pushImage } from '../../support/registry/image.ts';
import { type Reply, scriptedRegistry } from '../../support/registry/scripted/scripted-registry.ts';
import { SyncerRig } from '../syncer-rig.ts';

/** Mounts at registries that do not mount: what they answer, the blob arrives, and no bytes are sent twice. */

const SIZE = 100_000;
const answers: [name: string, reply: Reply][] = [
  ['400', { status: 400 }],
  ['401', { status: 401 }],
  ['403', { status: 403 }],
  ['404', { status: 404 }],
  ['405', { status: 405 }],
  ['202 without a session', { status: 202 }],
  ['201 without the blob', { status: 201 }],
  ['204 without the blob', { status: 204 }],
];

let layer: SyncerRig;
before(async () => {
  layer = await SyncerRig.start('http://127.0.0.1:1', {}, ['one']);
});
after(() => layer[Symbol.asyncDispose]());

for (const [nth, [name, reply]] of answers.entries()) {
  test(`a mount that is answered with ${name} does not keep the blob back`, async () => {
    const repositories = [`mount-${nth}/one`, `mount-${nth}/two`];
    await using registry = await scriptedRegistry({
      quirk: ({ url }) => (url.searchParams.has('mount') ? reply : undefined),
    });
    const parent = { url: registry.url };
    await layer.reconfigureWith({ parent, repositories, mode: 'ReadWrite', schedule: '0 0 1 1 *' });
    const shared = { seed: `mount-${nth}`, size: SIZE };
    for (const repository of repositories)
      await pushImage(layer.layer.url, repository, 'v1', { layers: [shared] });
    assert.deepEqual((await layer.pass()).failures, []);
    for (const repository of repositories) assert.ok(registry.content.of(repository).tags.has('v1'));
    assert.ok(registry.requests.some(({ url }) => url.searchParams.has('mount')));
    assert.ok(registry.uploadedBytes < 3 * SIZE, `${registry.uploadedBytes} bytes`);
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testLayer } from '../../support/layer.ts';
import { pushImage } from '../../support/registry/image.ts';
import { refused, scriptedRegistry } from '../../support/registry/scripted/scripted-registry.ts';

/** Uploads to a parent that does not report on its sessions, across a kill of the syncer. */
const MIB = 1024 * 1024;
const SIZE = 24 * MIB;
/** Min bytes that the parent has taken when the syncer is killed. */
const TAKEN = 8 * MIB;

for (const isAhead of [false, true])
  test(`an upload without session status ${isAhead ? 'begins anew if the parent has more than the killed syncer knew' : 'continues where the parent was when the syncer was killed'}`, async () => {
    let taken = 0;
    let isKilled = false;
    let kill: () => Promise<void> = async () => {};
    await using registry = await scriptedRegistry({
      quirk: async ({ method, path, body }, regular) => {
        if (!path.includes('/blobs/uploads/')) return undefined;
        if (method === 'GET') return refused(405, 'UNSUPPORTED');
        if (method !== 'PATCH') return undefined;
        if (isKilled || taken < TAKEN) {
          const reply = regular();
          if (reply.status === 202) taken += body.length;
          const { range: _, ...headers } = reply.headers ?? {};
          return { ...reply, headers };
        }
        isKilled = true;
        if (isAhead) regular();
        await kill();
        return 'drop';
      },
    });
    await using layer = await testLayer({ parent: registry.url, mode: 'ReadWrite', repositories: ['app'] });
    kill = async () => void (await layer.killWithoutWaiting('syncer-1'));
    const { digest } = await pushImage(layer.url, 'app', 'v1', { layers: [SIZE] });
    for (let tries = 0; tries < 5 && !registry.content.of('app').manifests.has(digest); tries += 1)
      await layer.sync();
    assert.ok(isKilled, 'the syncer was not killed');
    assert.ok(registry.content.of('app').manifests.has(digest));
    const repeated = registry.uploadedBytes - SIZE;
    if (isAhead) assert.ok(repeated >= TAKEN, `${repeated} bytes were sent again`);
    else assert.ok(repeated < TAKEN, `${repeated} bytes were sent again`);
  });

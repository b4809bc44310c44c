import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { SyncerRig } from '../syncer-rig.ts';
import { type Row, runRow } from './parent-rig.ts';

const rows: Row[] = [
  {
    name: 'a correct parent',
    content: ({ content }) => {
      const image = content.image('app', 'ok');
      content.image('app', undefined, { subject: image, artifactType: 'application/vnd.example.note' });
    },
    check: async ({ registry, pass, link, tags, has }) => {
      const stored = registry.content.of('app');
      assert.deepEqual(pass.failures, []);
      assert.equal(link.state, 'Online');
      assert.deepEqual(tags, Object.fromEntries(stored.tags));
      await has(...stored.manifests.keys(), ...stored.blobs.keys());
    },
  },
];

let layer: SyncerRig;
before(async () => {
  layer = await SyncerRig.start('http://127.0.0.1:1', {});
});
after(() => layer[Symbol.asyncDispose]());
for (const row of rows) test(row.name, () => runRow(layer, row));

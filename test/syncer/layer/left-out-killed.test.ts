import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEFT_OUT_ANNOTATION } from '#proto/content/left-out-referrers.ts';
import { testLayer } from '../../support/layer.ts';
import { refused, scriptedRegistry } from '../../support/registry/scripted/scripted-registry.ts';
import { SyncerRig } from '../syncer-rig.ts';

test('what a layer has left out is named to the layer below after storage and syncer were killed', async () => {
  await using registry = await scriptedRegistry();
  const image = registry.content.image('app', 't');
  const note = registry.content.image('app', undefined, { subject: image });
  const lacking: typeof registry.quirk = ({ path }) =>
    path.endsWith(note.digest) ? refused(404, 'MANIFEST_UNKNOWN') : undefined;
  registry.quirk = lacking;
  await using upper = await testLayer({ parent: registry.url, repositories: ['app'], mode: 'ReadOnly' });
  assert.equal((await upper.sync()).leftOut?.referrers, 1);
  // Nothing can be found out again.
  registry.quirk = () => 'drop';
  for (const program of ['storage', 'syncer-1']) await upper.kill(program);
  const answer = await fetch(`${upper.url}/v2/app/referrers/${image.digest}`);
  const { annotations } = (await answer.json()) as { annotations?: Record<string, string> };
  assert.match(annotations?.[LEFT_OUT_ANNOTATION] ?? '', new RegExp(`"count":1.*${note.digest}`));

  await using lower = await SyncerRig.start(upper.url, { mode: 'ReadOnly' }, ['one']);
  const { ok, leftOut } = await lower.pass({ full: true });
  assert.deepEqual([ok, leftOut?.referrers, leftOut?.first[0]?.digest], [false, 1, note.digest]);

  registry.quirk = lacking;
  assert.equal((await upper.sync()).leftOut?.referrers, 1);
  registry.quirk = undefined;
  assert.equal((await upper.sync({ full: true })).ok, true);
  assert.equal((await lower.pass()).ok, true);
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pushImage } from '../../support/registry/image.ts';
import { scriptedRegistry } from '../../support/registry/scripted/scripted-registry.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';
import { assertOnlyMissing, ChangingParent, rounds, seed } from './soak-rig.ts';

const MIN_ROUNDS = process.env.TERRACE_FULL === '1' ? 100 : 8;

let layer: SyncerRig;
before(async () => {
  layer = await SyncerRig.start('http://127.0.0.1:1', {});
});
after(() => layer?.[Symbol.asyncDispose]());

test('under changing quirks, everything that is selected is here or reported', async (t) => {
  await using registry = await scriptedRegistry();
  const parent = new ChangingParent(registry);
  await layer.configureWith({
    parent: { url: registry.url },
    repositories: ['app', 'pushed'],
    mode: 'ReadWrite',
    schedule: '0 0 1 1 *',
  });
  await until(() => registry.requests.length > 0, 'the parent is asked');
  const pushed: string[] = [];
  let made = 0;
  for (const round of rounds(MIN_ROUNDS)) {
    const names = parent.nextRound();
    const size = parent.sizeToPush(round);
    if (size !== undefined)
      pushed.push((await pushImage(layer.layer.url, 'pushed', `p${round}`, { layers: [size] })).digest);
    const pass = await layer.pass();
    await parent.assertHereOrReported(layer, pass, `round ${round}, ${names.join(', ')}`);
    made += 1;
  }
  registry.quirk = undefined;
  await layer.pass({ full: true });
  const last = await layer.pass({ full: true });
  await parent.assertHereOrReported(layer, last, 'the end');
  assertOnlyMissing(last);
  const { manifests } = registry.content.of('pushed');
  for (const digest of pushed)
    assert.ok(manifests.has(digest), `the parent lacks ${digest}, which was pushed`);
  t.diagnostic(`${made} rounds, seed ${seed}`);
});

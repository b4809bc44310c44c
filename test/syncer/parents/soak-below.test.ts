import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pushImage } from '../../support/registry/image.ts';
import { scriptedRegistry } from '../../support/registry/scripted/scripted-registry.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';
import { assertOnlyMissing, ChangingParent, hasTag, rounds, seed } from './soak-rig.ts';

const MIN_ROUNDS = process.env.TERRACE_FULL === '1' ? 60 : 4;

let upper: SyncerRig;
let lower: SyncerRig;
before(async () => {
  [upper, lower] = await Promise.all([
    SyncerRig.start('http://127.0.0.1:1', {}),
    SyncerRig.start('http://127.0.0.1:1', {}),
  ]);
});
after(async () => {
  await lower?.[Symbol.asyncDispose]();
  await upper?.[Symbol.asyncDispose]();
});

test('below a layer whose parent changes its quirks, everything that is selected is here or reported', async (t) => {
  await using registry = await scriptedRegistry();
  const parent = new ChangingParent(registry);
  const fields = {
    repositories: ['app', 'pushed'],
    mode: 'ReadWrite' as const,
    schedule: '0 0 1 1 *',
  };
  await upper.configureWith({ ...fields, parent: { url: registry.url } });
  await until(() => registry.requests.length > 0, 'the parent is asked');
  await lower.configureWith({ ...fields, parent: { url: upper.layer.url } });
  await until(() => lower.passes.length > 0, 'the pass for the new configuration');
  const pushed: string[] = [];
  const passes = async (about: string, query = {}) => {
    const above = await upper.pass(query);
    await parent.assertHereOrReported(upper, above, `above, ${about}`);
    const pass = await lower.pass(query);
    await parent.assertHereOrReported(lower, pass, about, (tag, digest) => hasTag(upper, tag, digest));
    return pass;
  };
  let made = 0;
  for (const round of rounds(MIN_ROUNDS)) {
    const names = parent.nextRound();
    const size = parent.sizeToPush(round);
    if (size !== undefined)
      pushed.push((await pushImage(lower.layer.url, 'pushed', `p${round}`, { layers: [size] })).digest);
    await passes(`round ${round}, ${names.join(', ')}`);
    made += 1;
  }
  registry.quirk = undefined;
  await passes('the end', { full: true });
  assertOnlyMissing(await passes('the end', { full: true }));
  const { manifests } = registry.content.of('pushed');
  for (const digest of pushed)
    assert.ok(manifests.has(digest), `the parent lacks ${digest}, which was pushed below`);
  t.diagnostic(`${made} rounds, seed ${seed}`);
});

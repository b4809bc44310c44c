import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { imageParked } from '#proto/sync/passes.ts';
import { getManifest, pushImage } from '../../../support/registry/image.ts';
import {
  type Quirk,
  refused,
  scriptedRegistry,
} from '../../../support/registry/scripted/scripted-registry.ts';
import { SyncerRig } from '../../syncer-rig.ts';

/** Pushes to a parent whose login may not push. */
let rig: SyncerRig;
let url: string;
const parked: string[] = [];

before(async () => {
  rig = await SyncerRig.start('http://127.0.0.1:1', {}, ['one']);
  url = rig.layer.url;
  const operator = await rig.layer.testBus.connect('operator');
  operator.listen(imageParked, ({ data }) => parked.push(data.repository));
});
after(() => rig[Symbol.asyncDispose]());

async function parentOf(repositories: string[], quirk: Quirk) {
  const registry = await scriptedRegistry({ quirk });
  const parent = { url: registry.url };
  await rig.reconfigureWith({ parent, repositories, mode: 'ReadWrite', schedule: '0 0 1 1 *' });
  return registry;
}

const isChange = (method: string) => method !== 'GET' && method !== 'HEAD';

for (const status of [401, 403]) {
  test(`a login that may only read is reported once, and what was pushed stays: ${status}`, async () => {
    const names = ['one', 'two'].map((name) => `read-${status}/${name}`);
    await using registry = await parentOf(names, ({ method }) =>
      isChange(method) ? refused(status, 'DENIED', 'no push') : undefined,
    );
    for (const name of names) for (const tag of ['a', 'b', 'c']) await pushImage(url, name, tag);
    const result = await rig.pass();
    assert.equal(result.failed, 0);
    assert.equal(result.parked, 6);
    assert.equal(result.failures.length, 1, JSON.stringify(result.failures));
    assert.equal(result.failures[0]?.code, 'denied');
    assert.match(
      result.failures[0]?.reason ?? '',
      /^6 changes wait in 2 repositories: the parent lets this layer only read \(.* DENIED no push\): give its login the right to push, or set mode to ReadOnly/,
    );
    const link = await rig.link();
    assert.equal(link?.state, 'Unhealthy');
    assert.match(link?.detail ?? '', /only read/);
    assert.doesNotMatch(link?.detail ?? '', /more/);
    for (const name of names) {
      assert.equal(parked.filter((one) => one === name).length, 1);
      for (const tag of ['a', 'b', 'c']) assert.ok(await getManifest(url, name, tag));
    }
    const changes = () => registry.requests.filter(({ method }) => isChange(method)).length;
    const before = changes();
    const second = await rig.pass();
    assert.equal(changes(), before, 'nothing is tried again before its time');
    assert.deepEqual([second.parked, second.failures.length], [6, 1]);

    registry.quirk = undefined;
    assert.deepEqual((await rig.pass({ full: true })).failures, []);
    for (const name of names) assert.equal(registry.content.of(name).tags.size, 3);
  });
}

test('a tag that the parent has locked is a refusal of its own', async () => {
  await using registry = await parentOf(['locked'], ({ method, path }) =>
    method === 'PUT' && path.endsWith('/manifests/fixed')
      ? refused(403, 'DENIED', 'tag is locked')
      : undefined,
  );
  await pushImage(url, 'locked', 'fixed');
  await pushImage(url, 'locked', 'free');
  const result = await rig.pass();
  assert.deepEqual([...registry.content.of('locked').tags.keys()], ['free']);
  assert.deepEqual(
    result.failures.map(({ tag, code }) => [tag, code]),
    [['fixed', 'parent-refused']],
  );
});

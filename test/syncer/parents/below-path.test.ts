import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PathProxy, type Rewriting } from '../../support/proxy/path-proxy.ts';
import { pushImage, tagsOf } from '../../support/registry/image.ts';
import { type Quirk, scriptedRegistry } from '../../support/registry/scripted/scripted-registry.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';

/** A parent below a path of its host, behind proxies that treat the addresses in its answers differently. */

const PATH = '/hosted/docker/key';

let layer: SyncerRig;
before(async () => {
  layer = await SyncerRig.start('http://127.0.0.1:1', {});
});
after(() => layer[Symbol.asyncDispose]());

/** Lists come in pages of two. */
const shortPages: Quirk = ({ url }, regular) => {
  if (url.pathname.endsWith('/tags/list') || url.pathname.endsWith('/_catalog'))
    url.searchParams.set('n', '2');
  return regular();
};

for (const [at, rewriting] of (['rewritten', 'kept', 'inner host'] as Rewriting[]).entries()) {
  test(`content goes both ways if the addresses in the answers of such a parent are ${rewriting}`, async () => {
    await using registry = await scriptedRegistry({ quirk: shortPages });
    await using proxy = await PathProxy.start(registry.url, PATH, rewriting);
    const name = (suffix: string) => `kind-${at}/${suffix}`;
    for (const repository of ['a', 'b', 'c']) {
      for (const tag of ['1', '2', '3']) registry.content.image(name(repository), tag);
    }
    await layer.configureWith({ parent: { url: proxy.url }, repositories: ['*'], schedule: '0 0 1 1 *' });
    const { url } = layer.layer;
    await until(() => registry.requests.length > 0, 'the parent is asked');
    assert.deepEqual((await layer.pass()).failures, []);
    for (const one of ['a', 'b', 'c']) assert.deepEqual(await tagsOf(url, name(one)), ['1', '2', '3']);

    const pushed = await pushImage(url, name('a'), 'up', { layers: [200_000] });
    assert.deepEqual((await layer.pass()).failures, []);
    assert.equal(registry.content.of(name('a')).tags.get('up'), pushed.digest);
    assert.ok(registry.count('PATCH', /uploads/) + registry.count('PUT', /uploads/) > 0);
    assert.deepEqual(proxy.outside, []);
  });
}

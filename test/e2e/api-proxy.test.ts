import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ApiProxy } from '../support/api-proxy.ts';
import { Authority } from '../support/certificates.ts';
import { Clients } from '../support/clients.ts';
import { getManifest, pushImage, sameContent, tagsOf } from '../support/image.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';

/**
 * A layer behind IoT Edge's API proxy, and below it a layer that has such a proxy and no registry: its clients reach
 * the registry through both. Each proxy ends TLS, with a private authority's certificate.
 */

const stack = new AsyncDisposableStack();
let layer: TestLayer;
let authority: Authority;
let proxies: { upper: ApiProxy; lower: ApiProxy };
let trust: string;

before(async () => {
  layer = stack.use(await testLayer({ name: 'behind' }));
  authority = stack.use(await Authority.create());
  trust = await authority.trustFolder();
  const tls = await authority.issue('proxy');
  const upper = stack.use(await ApiProxy.start({ tls, to: { gateway: layer.host } }));
  const to = { parent: upper.host, authority: authority.certificate };
  const lower = stack.use(await ApiProxy.start({ tls, to }));
  proxies = { upper, lower };
});
after(() => stack.disposeAsync());

for (const which of ['upper', 'lower'] as const) {
  const through = which === 'upper' ? 'one proxy' : 'two proxies';

  test(`podman and skopeo push, pull and delete through ${through}`, async () => {
    const { host } = proxies[which];
    await using clients = await Clients.create();
    const reference = `${host}/through/${which}:1`;
    const image = await clients.image(which);
    await clients.podman('push', '--cert-dir', trust, image, `docker://${reference}`);

    await using others = await Clients.create();
    await others.podman('pull', '-q', '--cert-dir', trust, reference);
    const out = `dir:${join(others.folder, 'out')}`;
    await others.skopeo('copy', '--src-cert-dir', trust, `docker://${reference}`, out);
    const served = await getManifest(layer.host, `through/${which}`, '1');
    assert.equal(await others.skopeo('inspect', '--raw', out), served?.bytes.toString().trim());

    await others.skopeo('delete', '--cert-dir', trust, `docker://${reference}`);
    assert.deepEqual(await tagsOf(layer.host, `through/${which}`), []);
  });
}

test('a layer below both proxies brings everything down, byte for byte', async () => {
  await pushImage(layer.host, 'plant/line', '1', { layers: [3_000_000, 40_000] });
  await using below = await testLayer({
    name: 'below',
    parent: `https://${proxies.lower.host}`,
    repositories: ['plant/*'],
    env: { NODE_EXTRA_CA_CERTS: authority.certificate },
  });
  const { ok, failures } = await below.sync();
  assert.ok(ok, JSON.stringify(failures));
  assert.equal(await sameContent(layer.host, below.host, ['plant/line']), undefined);
});

test('a large layer is pushed through the proxy of its own layer', async () => {
  await using source = await testLayer({ name: 'source' });
  await using clients = await Clients.create();
  await pushImage(source.host, 'plant/large', '1', { layers: [20_000_000] });
  const at = (host: string) => `docker://${host}/plant/large:1`;
  const options = ['--preserve-digests', '--src-tls-verify=false', '--dest-cert-dir', trust];
  await clients.skopeo('copy', ...options, at(source.host), at(proxies.upper.host));
  assert.equal(await sameContent(source.host, layer.host, ['plant/large']), undefined);
});

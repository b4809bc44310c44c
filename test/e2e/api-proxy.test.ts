import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import { Authority } from '../support/certificates.ts';
import { ApiProxy } from '../support/iot-edge/api-proxy.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { Clients } from '../support/registry/clients.ts';
import { getManifest, pushImage, sameContent, tagsOf } from '../support/registry/image.ts';

/**
 * A layer behind IoT Edge's API proxy, and below it a layer that has such a proxy and no registry: its clients reach
 * the registry through both. Each proxy ends TLS, with a private authority's certificate.
 */

let authority: Authority;
let trust: string;
before(async () => {
  authority = await Authority.create();
  trust = await authority.trustFolder();
});
after(() => authority[Symbol.asyncDispose]());

const full = process.env.TERRACE_FULL === '1';

for (const challenge of ['Bearer', 'Basic'] as const) {
  describe(`asked for ${challenge}`, () => {
    /** Content goes through a proxy in one way, whatever was asked for. */
    const all = challenge === 'Bearer' || full;
    const stack = new AsyncDisposableStack();
    let layer: TestLayer;
    let proxies: { upper: ApiProxy; lower: ApiProxy };
    let password: string;
    /** Past the proxies, with the account in it, as the functions of image.ts take it. */
    let inside: string;

    before(async () => {
      layer = stack.use(await testLayer({ challenge, compact: 'hosted' }));
      const actions = ['read', 'write', 'delete'].map((action) => `repositories/*/content/${action}`);
      const readable = [...actions, 'repositories/*/metadata/read'];
      ({ password } = await layer.bus().call(createToken, { name: 'plant', actions: readable }));
      inside = `http://plant:${encodeURIComponent(password)}@${layer.host}`;
      const tls = await authority.issue(`proxy-${challenge}`);
      const upper = stack.use(await ApiProxy.start({ tls, to: { gateway: layer.host } }));
      const to = { parent: upper.host, authority: authority.certificate };
      proxies = { upper, lower: stack.use(await ApiProxy.start({ tls, to })) };
    });
    after(() => stack.disposeAsync());

    for (const which of full ? (['upper', 'lower'] as const) : (['lower'] as const)) {
      const through = which === 'upper' ? 'one proxy' : 'two proxies';

      test(`podman and skopeo log in, push, pull and delete through ${through}`, async () => {
        const { host } = proxies[which];
        await using clients = await Clients.create();
        const reference = `${host}/through/${which}:1`;
        const image = await clients.image(which);
        const login = ['login', '--cert-dir', trust, '-u', 'plant', '-p', password, host];
        await clients.podman(...login);
        await clients.podman('push', '--cert-dir', trust, image, `docker://${reference}`);

        await using others = await Clients.create();
        await others.skopeo(...login);
        await others.podman('pull', '-q', '--cert-dir', trust, reference);
        const out = `dir:${join(others.folder, 'out')}`;
        await others.skopeo('copy', '--src-cert-dir', trust, `docker://${reference}`, out);
        const served = await getManifest(inside, `through/${which}`, '1');
        assert.equal(await others.skopeo('inspect', '--raw', out), served?.bytes.toString().trim());

        await others.skopeo('delete', '--cert-dir', trust, `docker://${reference}`);
        assert.deepEqual(await tagsOf(inside, `through/${which}`), []);
      });
    }

    test('tokens are had where the proxy was asked, and with Basic nobody looks for any', async () => {
      const tokens = (lines: string[]) => lines.filter((line) => line.startsWith('GET /v2/token')).length;
      const [upper, lower] = [await proxies.upper.asked(), await proxies.lower.asked()];
      assert.equal(tokens(upper) > 0, challenge === 'Bearer');
      // The lower proxy asks by the upper one's name, so its clients are sent to that one for a token.
      assert.equal(tokens(lower), 0);
    });

    test('a layer below both proxies brings everything down, byte for byte', async () => {
      await pushImage(inside, 'plant/line', '1', { layers: [3_000_000, 40_000] });
      await using clients = await Clients.create();
      const passwordFile = join(clients.folder, 'password');
      await writeFile(passwordFile, password, { mode: 0o600 });
      await using below = await testLayer({
        name: 'below',
        parent: { url: `https://${proxies.lower.host}`, username: 'plant', passwordFile },
        repositories: ['plant/*'],
        compact: true,
        env: { NODE_EXTRA_CA_CERTS: authority.certificate },
      });
      const { ok, failures } = await below.sync();
      assert.ok(ok, JSON.stringify(failures));
      assert.equal(await sameContent(inside, below.host, ['plant/line']), undefined);
    });

    test('a large layer is pushed through the proxy of its own layer', { skip: !all }, async () => {
      await using clients = await Clients.create();
      await pushImage(inside, 'plant/large', '1', { layers: [20_000_000] });
      const at = (repository: string) => `docker://${proxies.upper.host}/${repository}:1`;
      const account = `plant:${password}`;
      const folder = `dir:${join(clients.folder, 'large')}`;
      const copy = ['copy', '--preserve-digests'];
      await clients.skopeo(
        ...copy,
        '--src-cert-dir',
        trust,
        '--src-creds',
        account,
        at('plant/large'),
        folder,
      );
      await clients.skopeo(
        ...copy,
        '--dest-cert-dir',
        trust,
        '--dest-creds',
        account,
        folder,
        at('plant/copy'),
      );
      const [one, other] = await Promise.all(
        ['plant/large', 'plant/copy'].map((repository) => getManifest(inside, repository, '1')),
      );
      assert.deepEqual(other?.bytes, one?.bytes);
    });
  });
}

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import { Authority } from '../support/certificates.ts';
import { ApiProxy } from '../support/iot-edge/api-proxy.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { Clients } from '../support/registry/clients.ts';
import { firstDifference, getManifest, pushImage, tagsOf } from '../support/registry/image.ts';

/**
 * A layer behind IoT Edge's API proxy, and below it a device with such a proxy and no registry, whose clients reach the
 * registry through both proxies. Each proxy terminates TLS with a certificate of a private authority.
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
  describe(`challenge ${challenge}`, () => {
    /** A proxy passes content in the same way for both challenges. */
    const testsLargeImage = challenge === 'Bearer' || full;
    const stack = new AsyncDisposableStack();
    let layer: TestLayer;
    let proxies: { upper: ApiProxy; lower: ApiProxy };
    let password: string;
    /** The gateway itself, with an account, as `pushImage` takes it. */
    let gatewayHost: string;

    before(async () => {
      layer = stack.use(await testLayer({ challenge, compact: 'hosted' }));
      const actions = ['read', 'write', 'delete'].map((action) => `repositories/*/content/${action}`);
      const readable = [...actions, 'repositories/*/metadata/read'];
      ({ password } = await layer.bus().call(createToken, { name: 'plant', actions: readable }));
      gatewayHost = `http://plant:${encodeURIComponent(password)}@${layer.host}`;
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
        const image = await clients.buildSmallImage(which);
        const login = ['login', '--cert-dir', trust, '-u', 'plant', '-p', password, host];
        await clients.podman(...login);
        await clients.podman('push', '--cert-dir', trust, image, `docker://${reference}`);

        await using otherClients = await Clients.create();
        await otherClients.skopeo(...login);
        await otherClients.podman('pull', '-q', '--cert-dir', trust, reference);
        const out = `dir:${join(otherClients.folder, 'out')}`;
        await otherClients.skopeo('copy', '--src-cert-dir', trust, `docker://${reference}`, out);
        const served = await getManifest(gatewayHost, `through/${which}`, '1');
        assert.equal(await otherClients.skopeo('inspect', '--raw', out), served?.bytes.toString().trim());

        await otherClients.skopeo('delete', '--cert-dir', trust, `docker://${reference}`);
        assert.deepEqual(await tagsOf(gatewayHost, `through/${which}`), []);
      });
    }

    test('clients request tokens from the upper proxy only, and none with Basic', async () => {
      const tokens = (lines: string[]) => lines.filter((line) => line.startsWith('GET /v2/token')).length;
      const [upper, lower] = [await proxies.upper.requests(), await proxies.lower.requests()];
      assert.equal(tokens(upper) > 0, challenge === 'Bearer');
      // The lower proxy forwards requests with the host name of the upper one, so the challenge sends clients there.
      assert.equal(tokens(lower), 0);
    });

    test('a layer below both proxies pulls all content, byte for byte', async () => {
      await pushImage(gatewayHost, 'plant/line', '1', { layers: [3_000_000, 40_000] });
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
      assert.equal(await firstDifference(gatewayHost, below.host, ['plant/line']), undefined);
      // It has said by which name it knows its parent: other clients there are not sent to the name of the upper proxy.
      await clients.podman('login', '--cert-dir', trust, '-u', 'plant', '-p', password, proxies.lower.host);
      const unauthorized = await fetch(`${layer.url}/v2/`);
      assert.match(unauthorized.headers.get('www-authenticate') ?? '', /^Basic /);
    });

    test('an image with a large layer is pulled and pushed through the upper proxy', {
      skip: !testsLargeImage,
    }, async () => {
      await using clients = await Clients.create();
      await pushImage(gatewayHost, 'plant/large', '1', { layers: [20_000_000] });
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
        ['plant/large', 'plant/copy'].map((repository) => getManifest(gatewayHost, repository, '1')),
      );
      assert.deepEqual(other?.bytes, one?.bytes);
    });
  });
}

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import { Authority } from '../support/certificates.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { Clients } from '../support/registry/clients.ts';

/** Real clients log in, push, pull and delete, with each challenge, over HTTP and HTTPS. */

type Login = { name: string; password: string };
const REPOSITORIES = 'repositories/line/*';
const ACTIONS = ['content/read', 'content/write', 'content/delete', 'metadata/read', 'metadata/write'];

let authority: Authority;
before(async () => {
  authority = await Authority.create();
});
after(() => authority[Symbol.asyncDispose]());

for (const scheme of ['http', 'https'] as const) {
  for (const challenge of ['Bearer', 'Basic'] as const) {
    // Each scheme and each challenge once; the other two pairs in the full run.
    if (process.env.TERRACE_FULL !== '1' && (scheme === 'http') !== (challenge === 'Bearer')) continue;
    describe(`${challenge} over ${scheme}`, () => {
      let layer: TestLayer;
      let writer: Login;
      let reader: Login;
      let options: { client: string[]; to: string[]; from: string[] };

      before(async () => {
        const tls = scheme === 'https' ? await authority.issue(`${challenge}`) : undefined;
        layer = await testLayer({ challenge, compact: 'hosted', ...(tls && { tls }) });
        const create = async (name: string, actions: string[]) => {
          const { password } = await layer.bus().call(createToken, { name, actions });
          return { name, password };
        };
        writer = await create(
          'writer',
          ACTIONS.map((action) => `${REPOSITORIES}/${action}`),
        );
        reader = await create('reader', [`${REPOSITORIES}/content/read`, `${REPOSITORIES}/metadata/read`]);
        const trust = await authority.trustFolder();
        const tlsOptions = (prefix: string) =>
          tls ? [`--${prefix}cert-dir`, trust] : [`--${prefix}tls-verify=false`];
        options = { client: tlsOptions(''), to: tlsOptions('dest-'), from: tlsOptions('src-') };
      });
      after(() => layer[Symbol.asyncDispose]());

      const login = async (clients: Clients, program: 'podman' | 'buildah' | 'skopeo', account: Login) =>
        clients[program]('login', ...options.client, '-u', account.name, '-p', account.password, layer.host);

      test('podman logs in and pushes, and buildah pulls the image with the same login', async () => {
        await using clients = await Clients.create();
        const reference = `docker://${layer.host}/line/podman:1`;
        const image = await clients.buildSmallImage(challenge);
        const digestFile = join(clients.folder, 'digest');
        await assert.rejects(
          clients.podman('push', ...options.client, image, reference),
          /unauthorized|denied/i,
        );
        await assert.rejects(login(clients, 'podman', { ...writer, password: 'wrong' }), /invalid username/i);
        await login(clients, 'podman', writer);
        await clients.podman('push', ...options.client, '--digestfile', digestFile, image, reference);
        const pulled = await clients.buildah('pull', '-q', ...options.client, reference);
        assert.match(pulled, /^[0-9a-f]{64}$/m);
        await clients.podman('logout', layer.host);
        await assert.rejects(clients.podman('pull', ...options.client, reference), /unauthorized|denied/i);
      });

      test('skopeo copies in, lists, copies out and deletes', async () => {
        await using clients = await Clients.create();
        await login(clients, 'skopeo', writer);
        const image = await clients.buildSmallImage(`skopeo ${challenge}`);
        const folder = (name: string) => `dir:${join(clients.folder, name)}`;
        const reference = `docker://${layer.host}/line/skopeo:1`;
        const other = `docker://${layer.host}/line/again:1`;
        await clients.buildah('push', '--format', 'oci', image, folder('in'));
        await clients.skopeo('copy', '--preserve-digests', ...options.to, folder('in'), reference);
        await clients.skopeo('copy', '--preserve-digests', ...options.from, ...options.to, reference, other);
        await clients.skopeo('copy', '--preserve-digests', ...options.from, other, folder('out'));
        assert.equal(
          await clients.skopeo('inspect', '--raw', folder('out')),
          await clients.skopeo('inspect', '--raw', folder('in')),
        );
        await clients.skopeo('delete', ...options.client, reference);
        await assert.rejects(clients.skopeo('inspect', ...options.client, reference), /manifest unknown/);
        const tags = await clients.skopeo(
          'list-tags',
          ...options.client,
          `docker://${layer.host}/line/again`,
        );
        assert.deepEqual(JSON.parse(tags).Tags, ['1']);
      });

      test('an account with read access pulls, and clients report every other action as denied', async () => {
        await using clients = await Clients.create();
        await login(clients, 'buildah', writer);
        const image = await clients.buildSmallImage(`read ${challenge}`);
        const reference = `docker://${layer.host}/line/read:1`;
        await clients.buildah('push', ...options.client, image, reference);
        await login(clients, 'skopeo', reader);
        await clients.skopeo('copy', ...options.from, reference, `dir:${join(clients.folder, 'out')}`);
        const again = `docker://${layer.host}/line/read:2`;
        await assert.rejects(clients.podman('push', ...options.client, image, again), /denied/i);
        await assert.rejects(clients.skopeo('delete', ...options.client, reference), /denied|40[13]/i);
        const elsewhere = `docker://${layer.host}/other/x:1`;
        await assert.rejects(
          clients.skopeo('inspect', ...options.client, elsewhere),
          /unknown|unauthorized|denied/i,
        );
      });
    });
  }
}

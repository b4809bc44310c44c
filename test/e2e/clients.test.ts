import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { Clients } from '../support/registry/clients.ts';
import { getManifest, readAll, walk } from '../support/registry/image.ts';
import { buildShellImage, buildShells, pushLarge, realSizes } from '../support/registry/real-images.ts';

/** Real clients push to a layer and pull from it. Every test has repositories and a client store of its own. */

const MIB = 1024 * 1024;
const full = process.env.TERRACE_FULL === '1';
const insecure = '--tls-verify=false';
const skopeoInsecure = ['--src-tls-verify=false', '--dest-tls-verify=false'];

let layer: TestLayer;
before(async () => {
  layer = await testLayer({ name: 'clients' });
});
after(() => layer[Symbol.asyncDispose]());

const formats = [
  { format: 'oci', name: 'OCI', mediaType: mediaTypes.ociManifest },
  { format: 'v2s2', name: 'Docker', mediaType: mediaTypes.dockerManifest },
] as const;

for (const program of ['podman', 'buildah'] as const) {
  // Both clients push with the same library, so one format for each is enough.
  for (const { format, name, mediaType } of full
    ? formats
    : program === 'podman'
      ? formats.slice(1)
      : formats.slice(0, 1)) {
    test(`${program} pushes an image in ${name} format, and another client store pulls it unchanged`, async () => {
      await using clients = await Clients.create();
      const image = await buildShellImage(clients, 'amd64', `${program} ${format}`);
      const reference = `${layer.host}/${program}/${format}:1`;
      const digestFile = join(clients.folder, 'digest');
      const options = [insecure, '--format', format, '--digestfile', digestFile];
      await clients[program]('push', ...options, image, `docker://${reference}`);
      const pushed = (await readFile(digestFile, 'utf8')).trim();

      const { manifests } = await readAll(layer.host, `${program}/${format}`, '1');
      assert.deepEqual([...manifests.keys()], [pushed]);
      assert.equal(manifests.get(pushed)?.mediaType, mediaType);

      await using otherClients = await Clients.create();
      const pulled = await otherClients[program]('pull', '-q', insecure, reference);
      const [digest] = JSON.parse(await otherClients.podman('image', 'inspect', pulled)) as [
        { Digest: string },
      ];
      assert.equal(digest.Digest, pushed);
      assert.equal(await wordsOf(otherClients, pulled), `amd64 ${program} ${format}\n`);
    });
  }
}

test('podman pushes an index with two platforms, and each can be pulled alone', async () => {
  await using clients = await Clients.create();
  await buildShells(clients);
  const reference = `${layer.host}/podman/multi:1`;
  await clients.podman('manifest', 'push', insecure, '--all', 'shell', `docker://${reference}`);
  const { manifests } = await readAll(layer.host, 'podman/multi', '1');
  assert.equal(manifests.size, 3);
  for (const architecture of ['amd64', 'arm64']) {
    await using otherClients = await Clients.create();
    const pulled = await otherClients.podman('pull', '-q', insecure, '--arch', architecture, reference);
    assert.equal(await wordsOf(otherClients, pulled), `${architecture} \n`);
  }
});

const indexes = [
  { format: 'v2s2', name: 'Docker', index: mediaTypes.dockerList },
  { format: 'oci', name: 'OCI', index: mediaTypes.ociIndex },
];
for (const { format, name, index } of full ? indexes : indexes.slice(0, 1)) {
  test(`skopeo copies an index in ${name} format in, between repositories and out, with the same digests`, async () => {
    await using clients = await Clients.create();
    await buildShells(clients);
    const from = `dir:${join(clients.folder, 'from')}`;
    await clients.buildah('manifest', 'push', '--all', '--format', format, 'shell', from);
    const original = await clients.skopeo('inspect', '--raw', from);

    const [first, second] = [`skopeo/${format}`, `skopeo/again/${format}`];
    const at = (repository: string) => `docker://${layer.host}/${repository}:1`;
    await clients.skopeo('copy', '--all', '--preserve-digests', ...skopeoInsecure, from, at(first));
    await clients.skopeo('copy', '--all', '--preserve-digests', ...skopeoInsecure, at(first), at(second));
    const back = `dir:${join(clients.folder, 'back')}`;
    await clients.skopeo('copy', '--all', '--preserve-digests', ...skopeoInsecure, at(second), back);

    assert.equal(await clients.skopeo('inspect', '--raw', back), original);
    for (const repository of [first, second]) {
      const served = await getManifest(layer.host, repository, '1');
      assert.equal(served?.bytes.toString().trim(), original);
      assert.equal(served?.mediaType, index);
      assert.equal((await readAll(layer.host, repository, '1')).manifests.size, 3);
    }
  });
}

test('an image that is pushed under two tags has one digest', async () => {
  await using clients = await Clients.create();
  const image = await buildShellImage(clients, 'amd64', 'twice');
  for (const tag of ['a', 'b']) {
    await clients.podman('push', insecure, image, `docker://${layer.host}/podman/twice:${tag}`);
  }
  const [a, b] = [await walk(layer.host, 'podman/twice', 'a'), await walk(layer.host, 'podman/twice', 'b')];
  assert.equal(a.root, b.root);
  const tags = await clients.skopeo('list-tags', insecure, `docker://${layer.host}/podman/twice`);
  assert.deepEqual(JSON.parse(tags).Tags, ['a', 'b']);
});

test(`a layer of ${realSizes.largeLayer / MIB} MiB is pushed and pulled in bounded memory`, async (context) => {
  await using clients = await Clients.create();
  await using source = await testLayer({ name: 'source', compact: full ? false : 'hosted' });
  const pushed = await pushLarge(source.host, 'data/large', '1', realSizes.largeLayer);
  const at = ({ host }: TestLayer) => `docker://${host}/data/large:1`;
  await clients.skopeo('copy', '--preserve-digests', ...skopeoInsecure, at(source), at(layer));
  const out = (name: string) => `dir:${join(clients.folder, name)}`;
  await Promise.all(
    ['one', 'two'].map((name) => clients.skopeo('copy', ...skopeoInsecure, at(layer), out(name))),
  );
  assert.equal((await readAll(layer.host, 'data/large', '1')).root, pushed.digest);
  for (const [name, measured] of Object.entries(full ? { source, layer } : { layer })) {
    for (const program of ['gateway', 'storage']) {
      const { highest } = await measured.memory(program);
      const usage = `${program} of ${name} used ${(highest / MIB).toFixed(1)} MiB at most`;
      context.diagnostic(usage);
      assert.ok(highest < 150 * MIB, usage);
    }
  }
});

/** The file `words` of an image, which the test that built it has chosen. */
async function wordsOf(clients: Clients, image: string): Promise<string> {
  const container = await clients.buildah('from', '--pull-never', image);
  const root = await clients.buildah('mount', container);
  const text = await readFile(join(root, 'words'), 'utf8');
  await clients.buildah('umount', container);
  return text;
}

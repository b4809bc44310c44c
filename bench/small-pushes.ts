import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { testLayer } from '../test/support/layer.ts';
import { Clients } from '../test/support/registry/clients.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { contentOf, digestOf } from '../test/support/registry/image.ts';
import { KeptConnection } from './kept-connection.ts';
import { alternate, type Subject, timed } from './measure.ts';
import { withOtherRegistries } from './other-registries.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const LAYERS = 60;
const LAYER_BYTES = 10_000;
const IMAGES = 1_000;
const CLIENTS = 4;

/** An image of many small layers by skopeo, and many small images by several clients over kept connections. */
export const smallPushes: Subject = async (options) => {
  const notes = ['A layer answers when the bytes are on the disk, docker-registry before that.'];
  const layers = `push of an image of ${LAYERS} small layers by skopeo`;
  const pushed = `push of ${IMAGES} small images by ${CLIENTS} clients into an empty registry`;
  return [
    { subject: layers, unit: 's', better: 'less', values: await pushLayers(options, layers), notes },
    {
      subject: pushed,
      unit: 's',
      better: 'less',
      values: await alternate(options, pushed, [
        { name: 'terrace', run: intoLayer },
        { name: 'docker-registry', run: intoRegistry },
        ...withOtherRegistries(pushImages),
      ]),
      notes,
    },
  ];
};

async function pushLayers(options: Parameters<Subject>[0], subject: string) {
  await using folder = await TemporaryFolder.create();
  await using clients = await Clients.create();
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using registry = await startCloud();
  let pushes = 0;
  const run = async (host: string) => {
    const image = join(folder.path, `image-${pushes++}`);
    await writeImage(image, `image ${pushes}`);
    return timed(() =>
      clients.skopeo('copy', '--dest-tls-verify=false', `dir:${image}`, `docker://${host}/bench/layers:1`),
    );
  };
  return await alternate(options, subject, [
    { name: 'terrace', run: () => run(layer.host) },
    { name: 'docker-registry', run: () => run(registry.host) },
    ...withOtherRegistries(run),
  ]);
}

/** Writes an image in the form of skopeo's `dir:`. */
async function writeImage(folder: string, seed: string): Promise<void> {
  await mkdir(folder);
  await writeFile(join(folder, 'version'), 'Directory Transport Version: 1.1\n');
  const save = async (bytes: Buffer) => {
    const digest = digestOf(bytes);
    await writeFile(join(folder, digest.slice('sha256:'.length)), bytes);
    return { digest, size: bytes.length };
  };
  const layers = [];
  for (let i = 0; i < LAYERS; i += 1)
    layers.push(await save(contentOf({ seed: `${seed}/${i}`, size: LAYER_BYTES })));
  const config = await save(configOf(layers.map(({ digest }) => digest)));
  await writeFile(join(folder, 'manifest.json'), manifestOf(config, layers));
}

const configOf = (layers: string[]) =>
  Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: layers },
    }),
  );

type Blob = { digest: string; size: number };

const manifestOf = (config: Blob, layers: Blob[]) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layer })),
  });

async function intoLayer(round: number): Promise<number> {
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  return await pushImages(layer.host, round);
}

async function intoRegistry(round: number): Promise<number> {
  await using registry = await startCloud();
  return await pushImages(registry.host, round);
}

/** Each client pushes its images one after the other on one connection. @returns seconds */
async function pushImages(host: string, round: number): Promise<number> {
  return timed(() =>
    Promise.all(
      Array.from({ length: CLIENTS }, async (_, client) => {
        using connection = new KeptConnection(host);
        for (let i = 0; i < IMAGES / CLIENTS; i += 1)
          await pushImage(connection, `bench/client-${client}`, `v${i}`, `${round}/${client}/${i}`);
      }),
    ),
  );
}

/** As containerd and docker do: HEAD, POST, PATCH and PUT for each blob. */
async function pushImage(connection: KeptConnection, repository: string, tag: string, seed: string) {
  const push = async (bytes: Buffer): Promise<Blob> => {
    const digest = digestOf(bytes);
    const { status } = await connection.send('HEAD', `/v2/${repository}/blobs/${digest}`);
    if (status === 404) {
      const started = await connection.send('POST', `/v2/${repository}/blobs/uploads/`, { expect: 202 });
      const written = await connection.send('PATCH', started.location, { body: bytes, expect: 202 });
      const end = new URL(written.location, 'http://registry');
      end.searchParams.set('digest', digest);
      await connection.send('PUT', `${end.pathname}${end.search}`, { expect: 201 });
    }
    return { digest, size: bytes.length };
  };
  const layer = await push(contentOf({ seed, size: LAYER_BYTES }));
  const config = await push(configOf([layer.digest]));
  const body = Buffer.from(manifestOf(config, [layer]));
  await connection.send('PUT', `/v2/${repository}/manifests/${tag}`, {
    body,
    type: mediaTypes.ociManifest,
    expect: 201,
  });
}

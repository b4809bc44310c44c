import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { addImage } from '../../../deploy/image/image.ts';
import { type Descriptor, OciLayout } from '../../../deploy/image/oci-layout.ts';
import { execute } from '../../support/registry/debian.ts';

/** The image of a release, of a root and a program with few files. */

const project = join(import.meta.dirname, '../../..');
let folder: string;
let builds = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-image-'));
  for (const [path, text] of [
    ['root/usr/sbin/nats-server', 'server'],
    ['root/bin/sh', 'shell'],
    ['program/runtime/bin/node', 'node'],
    ['program/dependencies/node_modules/a/index.js', ''],
    ['program/page/services/gateway/page/built/index.html', '<!doctype html>'],
    ['program/code/cli/terrace.ts', '// 1'],
  ] as const) {
    await put(path, text);
  }
});
after(() => rm(folder, { recursive: true, force: true }));

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

type Manifest = { config: Descriptor; layers: Descriptor[] };

async function build(labels: Record<string, string> = {}) {
  const layout = await OciLayout.create(join(folder, `layout-${++builds}`));
  const parts = { root: join(folder, 'root'), program: join(folder, 'program'), work: folder };
  const descriptor = await addImage({ layout, architecture: 'arm64', ...parts, labels });
  await layout.list(descriptor, '1.0.0');
  const manifest = JSON.parse((await layout.read(descriptor)).toString()) as Manifest;
  return { layout, descriptor, manifest, layers: manifest.layers.map(({ digest }) => digest) };
}

const namesIn = async (layout: OciLayout, layer: Descriptor | undefined) => {
  const file = join(layout.folder, 'blobs', (layer?.digest ?? '').replace(':', '/'));
  const { stdout } = await execute('tar', ['-tzvf', file, '--numeric-owner']);
  return stdout.trim().split('\n');
};

test('the same content gives the same image', async () => {
  const [one, other] = [await build(), await build()];
  assert.equal(one.descriptor.digest, other.descriptor.digest);
});

test('a new version of one file sends one layer again, and another label none', async () => {
  const before = await build({ version: '1' });
  await put('program/code/cli/terrace.ts', '// 2');
  const later = await build({ version: '1' });
  assert.deepEqual(later.layers.slice(0, -1), before.layers.slice(0, -1));
  assert.notEqual(later.layers.at(-1), before.layers.at(-1));
  const labelled = await build({ version: '2' });
  assert.deepEqual(labelled.layers, later.layers);
  assert.notEqual(labelled.descriptor.digest, later.descriptor.digest);
});

test('each part lies at its place, belongs to root and is in one layer', async () => {
  const { layout, manifest } = await build();
  const names = await Promise.all(manifest.layers.map((layer) => namesIn(layout, layer)));
  const paths = names.map((lines) => lines.map((line) => line.replace(/^.*\d\d:\d\d /, '')));
  assert.ok(paths[0]?.includes('bin/sh') && !paths[0].includes('usr/sbin/nats-server'));
  assert.deepEqual(paths[1], ['usr/sbin/nats-server']);
  assert.ok(paths[2]?.includes('opt/terrace/bin/node'));
  assert.ok(paths[3]?.includes('opt/terrace/node_modules/a/index.js'));
  assert.ok(paths[4]?.includes('opt/terrace/services/gateway/page/built/index.html'));
  assert.ok(paths[5]?.includes('opt/terrace/cli/terrace.ts'));
  for (const line of names.slice(2).flat()) assert.match(line, / 0\/0 .* 2020-01-01 /);
});

test('skopeo reads the image from the layout and from its archive', async () => {
  const { layout, descriptor } = await build();
  const archive = join(folder, 'image.tar');
  await layout.pack(archive);
  for (const place of [`oci:${layout.folder}:1.0.0`, `oci-archive:${archive}:1.0.0`]) {
    const arch = ['--override-arch', 'arm64'];
    const { stdout } = await execute('skopeo', [...arch, 'inspect', place]);
    const { Digest, Architecture, Layers } = JSON.parse(stdout);
    assert.deepEqual([Digest, Architecture, Layers.length], [descriptor.digest, 'arm64', 6]);
  }
});

test('an attachment names its subject, and is listed without a tag', async () => {
  const { layout, descriptor } = await build();
  const bytes = Buffer.from('{"spdxVersion":"SPDX-2.3"}');
  const referrer = await layout.attach(descriptor, { artifactType: 'application/spdx+json', bytes });
  const { subject, layers } = JSON.parse((await layout.read(referrer)).toString());
  assert.equal(subject.digest, descriptor.digest);
  assert.deepEqual(await layout.read(layers[0]), bytes);
  const { manifests } = JSON.parse(readFileSync(join(layout.folder, 'index.json'), 'utf8'));
  assert.deepEqual(manifests.at(-1), { ...referrer });
});

test('image and Dockerfile run the same', async () => {
  const { layout, manifest } = await build();
  const { config } = JSON.parse((await layout.read(manifest.config)).toString());
  const dockerfile = readFileSync(join(project, 'Dockerfile'), 'utf8').replaceAll('\\\n', '');
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM scratch'));
  const argumentOf = (word: string) => new RegExp(`^${word} +(.+)$`, 'm').exec(last)?.[1];
  assert.equal(config.User, argumentOf('USER'));
  assert.equal(config.WorkingDir, argumentOf('WORKDIR'));
  assert.deepEqual(config.Entrypoint, JSON.parse(argumentOf('ENTRYPOINT') ?? ''));
  assert.deepEqual(config.Cmd, JSON.parse(argumentOf('CMD') ?? ''));
  assert.deepEqual(Object.keys(config.Volumes), [argumentOf('VOLUME')]);
  assert.deepEqual(config.Env, argumentOf('ENV')?.split(/\s+/));
  assert.deepEqual(
    Object.keys(config.ExposedPorts),
    argumentOf('EXPOSE')
      ?.split(' ')
      .map((port) => `${port}/tcp`),
  );
  assert.match(last, /HEALTHCHECK .* CMD \["terrace", "health"\]/);
});

import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import { Clients } from './clients.ts';
import type { Cloud } from './cloud.ts';
import { type Architecture, execute, unpack } from './debian.ts';
import { pushArtifact } from './image.ts';
import { getManifest, type Pushed, pushBlob, pushManifest } from './registry.ts';
import { pushTar } from './tar.ts';

/** Realistic images for the cloud, of Debian files: many layers, two platforms, one very large layer. */

const full = process.env.TERRACE_FULL === '1';
const MIB = 1024 * 1024;

const shell = ['busybox-static', 'dash'];
const small = [...shell, 'sed', 'grep', 'gzip', 'hostname', 'debianutils'];
const large = [
  ...small,
  'libc6',
  'coreutils',
  'bash',
  'perl-base',
  'util-linux',
  'tar',
  'findutils',
  'diffutils',
];

export type RealImages = {
  repositories: string[];
  /** `repository:tag` of each image that a client can pull on this machine. */
  pullable: string[];
  /** The index that is the subject of the SBOM. */
  shell: Pushed;
  sbom: Pushed;
};

export type Sizes = { layers?: number; largeLayer?: number; packages?: readonly string[] };

export const realSizes: Required<Sizes> = {
  layers: 60,
  largeLayer: (full ? 1024 : 64) * MIB,
  packages: full ? large : small,
};
export const fullSizes: Required<Sizes> = { layers: 60, largeLayer: 1024 * MIB, packages: large };

/** Builds and pushes all images. */
export async function pushRealImages(cloud: Cloud, sizes: Sizes = {}): Promise<RealImages> {
  const { layers, largeLayer, packages } = { ...realSizes, ...sizes };
  const folder = await mkdtemp(join(tmpdir(), 'terrace-images-'));
  try {
    await using clients = await Clients.create();
    const index = await pushShell(cloud, clients);
    // buildah copies a root filesystem for each layer, which takes a minute: only with TERRACE_FULL=1.
    if (full) {
      await buildLayered(cloud, clients, 'debian/layered:1', layers, small);
      await buildLarge(cloud, clients, 'data/large:1', largeLayer);
    } else {
      await pushLayered(cloud, 'debian/layered', '1', layers, packages, folder);
      await pushLarge(cloud.host, 'data/large', '1', largeLayer);
    }
    const sbom = await pushSbom(cloud.host, 'debian/shell', index, shell);
    return {
      repositories: ['debian/shell', 'debian/layered', 'data/large'],
      pullable: ['debian/shell:1', 'debian/shell:docker', 'debian/layered:1', 'data/large:1'],
      shell: index,
      sbom,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Pushes an image for two platforms with buildah, and its image for amd64 again in Docker's format. */
async function pushShell(cloud: Cloud, clients: Clients): Promise<Pushed> {
  await buildShells(clients);
  const target = `docker://${cloud.host}/debian/shell`;
  await clients.buildah('manifest', 'push', '--tls-verify=false', '--all', 'shell', `${target}:1`);
  await clients.buildah('push', '--tls-verify=false', '--format', 'v2s2', 'shell-amd64', `${target}:docker`);
  const index = await getManifest(cloud.host, 'debian/shell', '1');
  if (index?.mediaType !== mediaTypes.ociIndex) throw new Error(`buildah pushed ${index?.mediaType}`);
  return index;
}

/** Builds `shell-amd64`, `shell-arm64`, and `shell`, the index of both. */
export async function buildShells(clients: Clients): Promise<void> {
  await clients.buildah('manifest', 'create', 'shell');
  for (const architecture of ['amd64', 'arm64'] as const) {
    const image = await buildShellImage(clients, architecture);
    await clients.buildah('manifest', 'add', '--arch', architecture, '--os', 'linux', 'shell', image);
  }
}

/**
 * @param text of a file of the image, by which it differs from others
 * @returns its name in the clients' store
 */
export async function buildShellImage(
  clients: Clients,
  architecture: Architecture,
  text = '',
): Promise<string> {
  const name = `shell-${architecture}`;
  const root = join(clients.folder, name);
  await unpack(shell, architecture, root);
  await writeFile(join(root, 'words'), `${architecture} ${text}\n`);
  const container = await clients.buildah('from', '--arch', architecture, 'scratch');
  await clients.buildah('copy', container, root, '/');
  await clients.buildah('config', '--arch', architecture, '--cmd', '/bin/busybox', container);
  await clients.buildah('commit', '--format', 'oci', '--rm', container, name);
  return name;
}

/** Moves `repository:tag` in the cloud to another image. */
export async function moveShellTag(cloud: Cloud, text: string, name = 'debian/shell:1'): Promise<void> {
  await using clients = await Clients.create();
  const image = await buildShellImage(clients, 'amd64', text);
  await clients.buildah('push', '--tls-verify=false', image, `docker://${cloud.host}/${name}`);
}

/** Builds and pushes an image of `count` COPY instructions, over which the files of packages are distributed. */
async function buildLayered(
  cloud: Cloud,
  clients: Clients,
  name: string,
  count: number,
  packages: readonly string[],
): Promise<void> {
  const root = join(clients.folder, 'layered');
  const context = join(clients.folder, 'context');
  await unpack(packages, 'amd64', root);
  const files = await filesOf(root);
  if (files.length < count) throw new Error(`${files.length} files are too few for ${count} layers`);
  const lines = ['FROM scratch'];
  for (let layer = 0; layer < count; layer += 1) {
    for (const file of files.filter((_, index) => index % count === layer)) {
      const target = join(context, String(layer), file);
      await mkdir(dirname(target), { recursive: true });
      await cp(join(root, file), target, { verbatimSymlinks: true });
    }
    lines.push(`COPY ${layer}/ /`);
  }
  await writeFile(join(context, 'Containerfile'), lines.join('\n'));
  const parameters = ['bud', '--layers', '--format', 'oci', '--isolation', 'chroot', '-t', 'layered'];
  await clients.buildah(...parameters, '-f', join(context, 'Containerfile'), context);
  await clients.buildah('push', '--tls-verify=false', 'layered', `docker://${cloud.host}/${name}`);
}

/** Builds and pushes an image of one layer of noise, which does not get smaller when it is compressed. */
async function buildLarge(cloud: Cloud, clients: Clients, name: string, size: number): Promise<void> {
  const file = join(clients.folder, 'noise');
  await execute('dd', ['if=/dev/urandom', `of=${file}`, 'bs=1M', `count=${size / MIB}`, 'status=none']);
  const container = await clients.buildah('from', 'scratch');
  await clients.buildah('copy', container, file, '/srv/noise');
  await clients.buildah('commit', '--format', 'oci', '--rm', container, 'large');
  const parameters = ['push', '--tls-verify=false', '--disable-compression', 'large'];
  await clients.buildah(...parameters, `docker://${cloud.host}/${name}`);
}

/** Paths of all entries except folders, relative to `root`, sorted. */
async function filesOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return files.map((entry) => relative(root, join(entry.parentPath, entry.name))).sort();
}

/** Pushes an image of packages. Their files are distributed in turn, so that all layers are about equally large. */
export async function pushLayered(
  cloud: Cloud,
  repository: string,
  tag: string,
  count: number,
  packages: readonly string[],
  folder: string,
): Promise<Pushed> {
  const root = join(folder, 'packages');
  await unpack(packages, 'amd64', root);
  const names = await filesOf(root);
  if (names.length < count) throw new Error(`${names.length} files are too few for ${count} layers`);
  const layers: Descriptor[] = [];
  const diffIds: string[] = [];
  for (let layer = 0; layer < count; layer += 1) {
    const list = join(folder, 'list');
    const archive = join(folder, 'layer.tar.gz');
    await writeFile(list, names.filter((_, index) => index % count === layer).join('\n'));
    const reproducible = ['--numeric-owner', '--owner=0', '--group=0', '--mtime=@0', '--no-recursion'];
    await execute('tar', ['-C', root, ...reproducible, '-I', 'gzip -n1', '-c', '-f', archive, '-T', list]);
    const bytes = await readFile(archive);
    diffIds.push(`sha256:${createHash('sha256').update(gunzipSync(bytes)).digest('hex')}`);
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
    layers.push({ ...(await pushBlob(cloud.host, repository, bytes)), mediaType });
  }
  return pushUnpackable(cloud.host, repository, tag, layers, diffIds);
}

/** Pushes an image of one layer of noise. */
export async function pushLarge(
  host: string,
  repository: string,
  tag: string,
  size: number,
): Promise<Pushed> {
  const layer = await pushTar(host, repository, 'srv/noise', { seed: repository, size });
  return pushUnpackable(host, repository, tag, [layer], [layer.digest]);
}

async function pushUnpackable(
  host: string,
  repository: string,
  tag: string,
  layers: Descriptor[],
  diffIds: string[],
): Promise<Pushed> {
  const platform = { architecture: 'amd64', os: 'linux' };
  const history = layers.map((_, index) => ({ created_by: `layer ${index}` }));
  const document = { ...platform, config: {}, rootfs: { type: 'layers', diff_ids: diffIds }, history };
  const config = await pushBlob(host, repository, Buffer.from(JSON.stringify(document)));
  const mediaType = mediaTypes.ociManifest;
  return pushManifest(host, repository, tag, mediaType, {
    schemaVersion: 2,
    mediaType,
    config: { ...config, mediaType: 'application/vnd.oci.image.config.v1+json' },
    layers,
  });
}

/** Pushes an SPDX document of the packages of an image, as a referrer of it. */
async function pushSbom(
  host: string,
  repository: string,
  subject: Pushed,
  packages: readonly string[],
): Promise<Pushed> {
  const document = {
    spdxVersion: 'SPDX-2.3',
    name: repository,
    packages: packages.map((name) => ({ name, supplier: 'Organization: Debian' })),
  };
  const artifactType = 'application/spdx+json';
  return pushArtifact(host, repository, {
    subject,
    artifactType,
    layers: [Buffer.from(JSON.stringify(document))],
  });
}

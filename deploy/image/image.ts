import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture } from '../program/needed-files.ts';
import { NATS_SERVER } from './base-root.ts';
import { CREATED, type Descriptor, MANIFEST, type OciLayout } from './oci-layout.ts';
import { packWithDigest } from './pack-folder.ts';

/**
 * The image of a release, as the Dockerfile makes it, without a container engine: the same layers for the same content,
 * so that an update sends only what has changed.
 */

const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const PLACE = 'opt/terrace';

/** Keep in step with the Dockerfile. */
const CONTAINER = {
  User: 'terrace',
  ExposedPorts: { '5000/tcp': {}, '8080/tcp': {} },
  Env: [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/terrace/bin',
    'TERRACE_CONTAINER=1',
  ],
  Entrypoint: ['terrace'],
  Cmd: ['up', '--log-json'],
  Volumes: { '/data': {} },
  WorkingDir: '/',
  Healthcheck: {
    Test: ['CMD', 'terrace', 'health'],
    Interval: 30_000_000_000,
    Timeout: 10_000_000_000,
    StartPeriod: 60_000_000_000,
  },
};

export type ImageOptions = {
  layout: OciLayout;
  architecture: Architecture;
  /** Root of the image (base-root.ts). */
  root: string;
  /** The assembled program. */
  program: string;
  /** Folder for files that are made on the way. */
  work: string;
  labels: Record<string, string>;
};

/** Adds the image for one architecture to the layout. @returns the descriptor of its manifest */
export async function addImage({
  layout,
  architecture,
  root,
  program,
  work,
  labels,
}: ImageOptions): Promise<Descriptor> {
  const layers: Descriptor[] = [];
  const diffIds: string[] = [];
  const history: object[] = [];
  const add = async (
    what: string,
    folder: string,
    options: { prefix?: string; entries?: string[]; exclude?: string[] },
  ) => {
    const file = join(work, 'layer.tar.gz');
    // Files of the root belong to several users.
    diffIds.push(await packWithDigest(folder, { file, gzip: true, asRoot: folder !== root, ...options }));
    layers.push(await layout.add(LAYER, await readFile(file)));
    history.push({ created: CREATED, created_by: what });
    await rm(file);
  };
  await add('Debian', root, { exclude: [`./${NATS_SERVER}`] });
  await add('nats-server', root, { entries: [`./${NATS_SERVER}`] });
  await add('Node', join(program, 'runtime'), { prefix: PLACE });
  await add('dependencies', join(program, 'dependencies'), { prefix: PLACE });
  await add('page', join(program, 'page'), { prefix: PLACE });
  await add('Terrace', join(program, 'code'), { prefix: PLACE });
  const platform = { os: 'linux', architecture };
  const config = await layout.addJson(CONFIG, {
    created: CREATED,
    ...platform,
    config: { ...CONTAINER, Labels: labels },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history,
  });
  const manifest = await layout.addJson(MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config,
    layers,
    annotations: labels,
  });
  return { ...manifest, platform };
}

import { link, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageOf, rootfsTar, type State, sourcesOf } from '../sources/debian.ts';
import { BASE, type Kind, type Place, type Version } from './kind.ts';

export const stateOf = (version: Version): State => (version === 'v1' ? 'published' : 'updated');

/** The base image itself, with an application of a few bytes on it. */
export const debian: Kind = {
  name: 'debian',
  change: 'Debian minbase, to its security updates',
  fill: async (place) => {
    const base = await addRootfs(place);
    await mkdir(join(place.folder, 'app'));
    await writeFile(join(place.folder, 'app/start.sh'), '#!/bin/sh\nexec sleep infinity\n');
    return `${base}COPY app /opt/app\nCMD ["/opt/app/start.sh"]\n`;
  },
};

/** Puts the root filesystem of the version into the folder. @returns the beginning of a Dockerfile */
export async function addRootfs({ folder, version, sources }: Place): Promise<string> {
  await link(await rootfsTar(sources, stateOf(version)), join(folder, 'rootfs.tar'));
  return 'FROM scratch\nADD rootfs.tar /\n';
}

/** A layer of one `apt-get install`, from the published distribution, then with its updates. */
const installed = (name: string, change: string, packages: string[]): Kind => ({
  name,
  change,
  fill: async ({ version }) => installing(stateOf(version), packages),
});

export const apt = installed('apt', 'apt-get install nginx python3, to security updates', [
  'nginx',
  'python3',
]);
export const javaRuntime = installed('java-runtime', 'apt-get install openjdk-17, to security updates', [
  'openjdk-17-jre-headless',
]);
export const postgres = installed('postgres', 'apt-get install postgresql, to security updates', [
  'postgresql-15',
]);

/** Only two packages of the layer are updated. */
export const aptFew: Kind = {
  name: 'apt-few',
  change: 'the same, of which nginx and libexpat1 updated',
  fill: async ({ version }) => {
    const updated = ['nginx', 'nginx-common', 'libexpat1'].map((name) => packageOf(name, stateOf(version)));
    return installing('updated', [...updated, 'python3'], '-o APT::Default-Release=bookworm');
  },
};

const installing = (state: State, packages: string[], options = ''): string =>
  [
    `FROM ${BASE}`,
    `RUN printf '%s\\n' ${sourcesOf(state)
      .map((line) => `'${line}'`)
      .join(' ')} > /etc/apt/sources.list && apt-get update && \\`,
    `  DEBIAN_FRONTEND=noninteractive apt-get install ${options} -y --no-install-recommends ${packages.join(' ')} && \\`,
    // As in Debian's own images: packages are not kept.
    '  apt-get clean && rm -rf /var/lib/apt/lists/*',
    '',
  ].join('\n');

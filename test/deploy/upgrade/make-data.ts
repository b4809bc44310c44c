import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from '../../support/ports.ts';
import { pushArtifact, pushImage, pushIndex, readAll } from '../../support/registry/image.ts';
import { DATA, FACTS, type Facts } from './data.ts';

/**
 * Makes the data of an earlier version that the test upgrades: `node test/deploy/upgrade/make-data.ts CHECKOUT`, the
 * folder of that version after its `npm ci`. A cloud and a layer below it, both of that version, with images, an index,
 * a referrer, a token, and a push that has yet to go up.
 */

const checkout = resolve(process.argv[2] ?? '');
const work = await mkdtemp(join(tmpdir(), 'terrace-old-'));
const terrace = join(checkout, 'cli/terrace');
const run = (...parameters: string[]) => execFileSync(terrace, parameters, { encoding: 'utf8' });

async function start(name: string, listen: string, ...more: string[]) {
  const data = join(work, name);
  const parameters = ['up', '--name', name, '--data', data, '--listen', listen, '--reserve', '1MB', ...more];
  const child = spawn(terrace, parameters, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const part of child.stdout.setEncoding('utf8')) {
    text += part;
    if (text.includes('Ctrl-C')) break;
  }
  child.stdout.destroy();
  return {
    data,
    async stop() {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

const [cloudHost, lineHost] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
const cloud = await start('cloud', cloudHost);
const line = await start('line', lineHost, '--mode', 'ReadWrite', '--parent', `http://${cloudHost}`);
const facts: Facts = {
  images: [],
  unsent: { repository: 'line/own', tag: 'late' },
  password: '',
  token: 'ci',
};

const add = async (repository: string, tag: string) => {
  const { manifests, blobs } = await readAll(lineHost, repository, tag);
  facts.images.push({ repository, tag, digests: [...manifests.keys(), ...blobs.keys()].sort() });
};
for (const tag of ['1', '2', 'latest']) await pushImage(cloudHost, 'line/app', tag, { layers: [3_000, 500] });
const one = await pushImage(cloudHost, 'line/multi', undefined, { layers: [900] });
const platform = { os: 'linux', architecture: 'arm64' };
const other = await pushImage(cloudHost, 'line/multi', undefined, { layers: [800], platform });
await pushIndex(cloudHost, 'line/multi', '1', [
  { ...one, platform: { os: 'linux', architecture: 'amd64' } },
  { ...other, platform },
]);
const signed = await pushImage(cloudHost, 'line/app', 'signed', { layers: [700] });
await pushArtifact(cloudHost, 'line/app', { subject: signed });
await pushImage(lineHost, 'line/own', 'early', { layers: [1_200] });
const has = async (host: string, path: string) =>
  (await fetch(`http://${host}/v2/${path}`, { headers: { Accept: '*/*' } })).ok;
// It ends once the pass has, and so all of it is recorded.
run('sync', '--full', '--data', line.data);
const isInSync =
  (await has(cloudHost, 'line/own/manifests/early')) &&
  (await has(lineHost, 'line/multi/manifests/1')) &&
  (await has(lineHost, 'line/app/manifests/signed'));
if (!isInSync) throw new Error('layer and cloud differ after a full pass');
await cloud.stop();
await pushImage(lineHost, 'line/own', 'late', { layers: [1_300] });
for (const tag of ['1', '2', 'latest', 'signed']) await add('line/app', tag);
await add('line/multi', '1');
for (const tag of ['early', 'late']) await add('line/own', tag);
facts.password =
  run('token', 'create', 'ci', '--push', '*', '--data', line.data).trim().split('\n').at(-1) ?? '';
await line.stop();
await writeFile(FACTS, `${JSON.stringify(facts, null, 2)}\n`);
const without = ['ballast', 'ballast-inodes', 'log', 'run', 'spare'].map((name) => `--exclude=*/${name}`);
execFileSync('tar', [
  '-C',
  work,
  '--owner=0',
  '--group=0',
  '--sort=name',
  ...without,
  '-czf',
  DATA,
  'cloud',
  'line',
]);
await rm(work, { recursive: true, force: true });

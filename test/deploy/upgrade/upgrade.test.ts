import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { transferStarted } from '#proto/sync/transfers.ts';
import { unfinishedRollback, upgradeCopies } from '#proto/volume/upgrade-copies.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { freePort } from '../../support/ports.ts';
import { getManifest, pushImage, readAll } from '../../support/registry/image.ts';
import { runCommand, startProgram } from '../../support/terrace.ts';
import { until } from '../../support/until.ts';
import { DATA, FACTS, type Facts } from './data.ts';

/** The data of an earlier version, upgraded to this one, and back. The tests build on each other. */

/** Folder of that version after its `npm ci`: with it, that version runs on what a rollback left. */
const earlier = process.env.TERRACE_EARLIER;

const facts = JSON.parse(readFileSync(FACTS, 'utf8')) as Facts;
let folder: string;
let data: string;
let cloud: TestLayer;
let line: TestLayer;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-upgrade-'));
  execFileSync('tar', ['-C', folder, '-xzf', DATA]);
  data = join(folder, 'line');
  cloud = await testLayer({ data: join(folder, 'cloud'), name: 'cloud', compact: true });
});
after(async () => {
  await line?.[Symbol.asyncDispose]();
  await cloud?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const startLine = () =>
  testLayer({ data, name: 'line', parent: cloud.url, mode: 'ReadWrite', compact: true });
const asClient = (host: string) => `http://${facts.token}:${facts.password}@${host}`;

async function mustHaveAll(host: string): Promise<void> {
  for (const { repository, tag, digests } of facts.images) {
    const { manifests, blobs } = await readAll(asClient(host), repository, tag);
    assert.deepEqual([...manifests.keys(), ...blobs.keys()].sort(), digests, `${repository}:${tag}`);
  }
}

/** Files of LevelDB by name, without its own log and its lock. */
function metadataOf(volume: string): Map<string, string> {
  const path = join(volume, 'metadata');
  const names = readdirSync(path).filter((name) => !/^LO(CK|G)/.test(name));
  return new Map(names.map((name) => [name, readFileSync(join(path, name)).toString('base64')]));
}

test('after the upgrade, all content, its referrers and the accounts are there', async () => {
  line = await startLine();
  await mustHaveAll(line.host);
  const { status } = await fetch(`${line.url}/v2/`);
  assert.equal(status, 401);
});

test('the layer is in sync with its parent without a transfer, and what was still to be sent goes up', async () => {
  const { repository, tag } = facts.unsent;
  await line.sync();
  await until(async () => (await getManifest(cloud.host, repository, tag)) !== undefined, 'the push');
  const transfers = line.events.filter(({ type }) => type === `terrace.${transferStarted.type}`);
  const directions = transfers.map((event) => (event.data as { direction: string }).direction);
  assert.deepEqual(new Set(directions), new Set(['up']));
});

test('the metadata of before the upgrade were copied as they were', async () => {
  const copies = await upgradeCopies(data);
  assert.deepEqual(
    copies.map(({ name, from }) => [/^\d{8}T\d{6}Z-earlier$/.test(name), from]),
    [[true, undefined]],
  );
  const unpacked = join(folder, 'before');
  execFileSync('mkdir', [unpacked]);
  execFileSync('tar', ['-C', unpacked, '-xzf', DATA]);
  assert.deepEqual(
    metadataOf(join(data, 'upgrades', copies[0]?.name ?? '')),
    metadataOf(join(unpacked, 'line')),
  );
});

test('a rollback brings them back, keeps the newer ones, and names the pushes that it loses', async () => {
  await pushImage(asClient(line.host), 'line/own', 'after', { layers: [600] });
  const running = await runCommand('rollback', '--data', data);
  assert.equal(running.code, 1);
  assert.match(running.text, /runs on .*: stop it first/);
  await line[Symbol.asyncDispose]();
  const newer = metadataOf(data);
  const listed = await runCommand('rollback', '--list', '--data', data);
  assert.match(listed.text, /^COPY .*\n\d{8}T\d{6}Z-earlier .* an earlier version .* \(metadata \d+\)/);
  const { code, text } = await runCommand('rollback', '--data', data);
  assert.equal(code, 0, text);
  assert.match(text, /pushed by clients: 1 tag:\n {4}line\/own:after\n/);
  const replaced = /Those that they replace are in (\S+)\.$/m.exec(text)?.[1] ?? '';
  assert.deepEqual(metadataOf(replaced), newer);
  const unpacked = join(folder, 'before', 'line');
  assert.deepEqual(metadataOf(data), metadataOf(unpacked));
});

test('the earlier version serves what it had', { skip: !earlier && 'needs TERRACE_EARLIER' }, async () => {
  const host = `127.0.0.1:${await freePort()}`;
  const parameters = ['up', '--data', data, '--listen', host, '--reserve', '1MB'];
  await using layer = startProgram(join(earlier ?? '', 'cli/terrace'), {}, ...parameters);
  await layer.untilOutput(/Ctrl-C/);
  await mustHaveAll(host);
});

test('the next upgrade takes the layer for one that was off since', async () => {
  assert.ok(await unfinishedRollback(data));
  line = await startLine();
  assert.equal(await unfinishedRollback(data), undefined);
  await mustHaveAll(line.host);
  assert.equal((await upgradeCopies(data)).length, 2);
  // Had gone up before the rollback, so it comes from the parent.
  await line.sync();
  await until(
    async () => (await getManifest(asClient(line.host), 'line/own', 'late')) !== undefined,
    'the tag',
  );
  await line[Symbol.asyncDispose]();
  assert.ok(existsSync(join(data, 'upgrades/program.json')));
});

test('a start of the same version makes no further copy', async () => {
  const names = (await upgradeCopies(data)).map(({ name }) => name);
  line = await startLine();
  assert.deepEqual(
    (await upgradeCopies(data)).map(({ name }) => name),
    names,
  );
});

import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { lastProgram, rollBack, upgradeCopies, writeProgram } from '#proto/volume/upgrade-copies.ts';
import { keys } from '../../../services/storage/metadata/keys.ts';
import type { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { openUpgraded } from '../../../services/storage/upgrade/open-upgraded.ts';
import { quiet } from '../../support/bus.ts';

let data: string;
let clock = Date.UTC(2026, 0, 1);
beforeEach(async (t) => {
  data = await mkdtemp(join(tmpdir(), 'terrace-upgraded-'));
  (t as { after?: (end: () => Promise<void>) => void }).after?.(() =>
    rm(data, { recursive: true, force: true }),
  );
});

const now = () => {
  clock += 60_000;
  return clock;
};
const open = (version: string, log = quiet) => openUpgraded({ data, version, log, now });
const write = (metadata: Metadata, name: string) =>
  metadata.write([{ type: 'put', key: keys.repository(name), value: 1 }]);
const has = async (metadata: Metadata, name: string) => {
  for await (const [found] of metadata.repositories()) if (found === name) return true;
  return false;
};
const names = async () => (await upgradeCopies(data)).map(({ name }) => name.replace(/^.*Z-/, ''));

test('each other version makes a copy, and the last two stay', async () => {
  for (const version of ['1.0.0', '1.0.0', '1.1.0', '1.2.0', '1.3.0', '1.3.0']) {
    await using metadata = await open(version);
    await write(metadata, `by-${version}`);
  }
  assert.deepEqual(await names(), ['1.2.0', '1.1.0']);
});

test('a rollback brings back what the earlier version knew, and the next version copies again', async () => {
  {
    await using metadata = await open('1.0.0');
    await write(metadata, 'before');
  }
  {
    await using metadata = await open('2.0.0');
    await write(metadata, 'after');
  }
  const [copy] = await upgradeCopies(data);
  assert.ok(copy);
  await rollBack(data, copy, now());
  {
    await using metadata = await open('1.0.0');
    assert.deepEqual([await has(metadata, 'before'), await has(metadata, 'after')], [true, false]);
    assert.equal((await metadata.restored())?.at, copy.at);
    await write(metadata, 'again');
  }
  await using metadata = await open('2.0.0');
  assert.deepEqual([await has(metadata, 'again'), await has(metadata, 'after')], [true, false]);
  assert.deepEqual(await names(), ['1.0.0', '1.0.0']);
});

test('a first start that is interrupted leaves the copy of before it', async () => {
  {
    await using metadata = await open('1.0.0');
    await write(metadata, 'before');
  }
  const first = await lastProgram(data);
  for (let start = 0; start < 4; start++) {
    await using metadata = await open('2.0.0');
    await write(metadata, `half-${start}`);
    // As if it had ended before it recorded that it has opened them.
    if (first) await writeProgram(data, first);
  }
  assert.deepEqual(await names(), ['1.0.0']);
  const [copy] = await upgradeCopies(data);
  assert.ok(copy);
  await rollBack(data, copy, now());
  await using metadata = await open('1.0.0');
  assert.deepEqual([await has(metadata, 'before'), await has(metadata, 'half-0')], [true, false]);
});

test('tables are shared between the metadata and their copy', async () => {
  {
    await using metadata = await open('1.0.0');
    await write(metadata, 'before');
  }
  // LevelDB writes a table when it opens the log of the last run.
  await (await open('1.0.0'))[Symbol.asyncDispose]();
  await (await open('2.0.0'))[Symbol.asyncDispose]();
  const [copy] = await upgradeCopies(data);
  const folder = join(data, 'upgrades', copy?.name ?? '', 'metadata');
  const tables = (await readdir(folder)).filter((name) => name.endsWith('.ldb'));
  assert.ok(tables.length > 0);
  const links = await Promise.all(tables.map(async (name) => (await stat(join(folder, name))).nlink));
  assert.ok(
    links.some((count) => count > 1),
    'no table of the copy is one of the metadata',
  );
  assert.equal((await stat(join(data, 'upgrades'))).mode & 0o777, 0o700);
});

test('a layer whose metadata can not be copied starts all the same, and says so', async () => {
  {
    await using metadata = await open('1.0.0');
    await write(metadata, 'before');
  }
  // In place of a volume without space.
  await rm(join(data, 'upgrades', 'new'), { recursive: true, force: true });
  await writeFile(join(data, 'upgrades', 'new'), '');
  const warnings: string[] = [];
  const log = { ...quiet, warn: (_fields: object, text: string) => void warnings.push(text) };
  await mkdir(join(data, 'metadata/unreadable'));
  await using metadata = await open('2.0.0', log as typeof quiet);
  assert.ok(await has(metadata, 'before'));
  await chmod(join(data, 'metadata/unreadable'), 0o700);
  assert.match(warnings.join(), /could not be copied before the upgrade/);
  assert.deepEqual(await names(), []);
});

test('metadata of a new volume are not copied', async () => {
  await (await open('1.0.0'))[Symbol.asyncDispose]();
  assert.deepEqual(await names(), []);
});

test('a version that refuses the metadata leaves the copies alone', async () => {
  {
    await using metadata = await open('1.0.0');
    await write(metadata, 'before');
  }
  await (await open('2.0.0'))[Symbol.asyncDispose]();
  const last = await lastProgram(data);
  assert.ok(last);
  await writeProgram(data, { ...last, metadata: last.metadata + 1 });
  await (await open('1.0.0'))[Symbol.asyncDispose]();
  assert.deepEqual(await names(), ['1.0.0']);
});

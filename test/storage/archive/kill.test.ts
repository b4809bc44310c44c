import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { exportArchive, importArchive, listArchives } from '#proto/archive/archives.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { listTags } from '#proto/content/manifests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { TestBus } from '../../support/bus.ts';
import { until } from '../../support/until.ts';
import { bytesOf, Client, descriptorOf, imageOf, random } from '../rig.ts';

const MAIN = join(import.meta.dirname, '../../../services/storage/main.ts');
const IMAGES = 12;

/** A storage process on a bus of its own, which is killed and started again. */
class Killable implements AsyncDisposable {
  readonly data: string;
  readonly operator: Bus;
  readonly gateway: Client;
  readonly #server: TestBus;
  readonly #layer: string;
  #child: ChildProcess | undefined;

  static async start(layer: string): Promise<Killable> {
    const server = await TestBus.start();
    const [operator, gateway] = await Promise.all([server.connect('operator'), server.connect('gateway')]);
    const data = await mkdtemp(join(tmpdir(), 'terrace-kill-'));
    const killable = new Killable(data, server, layer, operator, new Client(gateway, data, 'gateway-1'));
    await killable.start();
    return killable;
  }

  private constructor(data: string, server: TestBus, layer: string, operator: Bus, gateway: Client) {
    this.data = data;
    this.#server = server;
    this.#layer = layer;
    this.operator = operator;
    this.gateway = gateway;
  }

  async start(): Promise<void> {
    this.#child = spawn(process.execPath, [MAIN], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        TERRACE_DATA: this.data,
        TERRACE_NAME: this.#layer,
        TERRACE_BUS: this.#server.url,
        TERRACE_BUS_PASSWORD: 'secret-of-storage',
        TERRACE_LOG: 'fatal',
      },
    });
    const answers = () =>
      this.operator.call(storageStatus, {}, { patience: 0 }).then(
        () => true,
        () => false,
      );
    await until(answers, 'storage answers');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  async tags(): Promise<Record<string, string>> {
    const { tags } = await this.gateway
      .call(listTags, { repository: 'app', limit: 1_000 })
      .catch(() => ({ tags: [] }));
    return Object.fromEntries(tags.map(({ tag, digest }) => [tag, digest]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#server[Symbol.asyncDispose]();
    await rm(this.data, { recursive: true, force: true });
  }
}

let north: Killable;
let south: Killable;
let folder: string;
before(async () => {
  [north, south] = await Promise.all([Killable.start('north'), Killable.start('south')]);
  folder = await mkdtemp(join(tmpdir(), 'terrace-kill-folder-'));
});
after(async () => {
  await north[Symbol.asyncDispose]();
  await south[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function push(tag: string): Promise<void> {
  const layer = random(50_000);
  await north.gateway.push('app', bytesOf('{}'));
  await north.gateway.push('app', layer);
  await north.gateway.pushManifest('app', imageOf('', { layers: [descriptorOf(layer)] }), { tag });
}

const files = () => readdir(folder);
const exported = () =>
  north.operator.call(
    exportArchive,
    { folder, target: 'south', repositories: ['*'], partBytes: 65_536 },
    { patience: 60_000 },
  );
const imported = () =>
  south.operator.call(importArchive, { folder, keyFiles: [], dryRun: false }, { patience: 60_000 });

/** Kills storage once `isTime` holds, unless the work is done first. @returns whether the work was done */
async function killWhen(
  side: Killable,
  work: () => Promise<unknown>,
  isTime: () => boolean | Promise<boolean>,
): Promise<boolean> {
  let isDone = false;
  const working = work().then(
    () => {
      isDone = true;
    },
    () => {},
  );
  await until(async () => isDone || (await isTime()), 'the moment of the kill');
  await side.kill();
  await side.start();
  await working;
  return isDone;
}

test('an export that is killed leaves no set, or a complete one that the book knows at the next export', async () => {
  for (let image = 0; image < IMAGES; image += 1) await push(String(image));
  const moments: ((names: string[]) => boolean)[] = [
    (names) => names.filter((name) => name.endsWith('.tar')).length > IMAGES / 2,
    (names) => names.some((name) => name.includes('list.json')),
    (names) => names.some((name) => name.endsWith('list.json')),
  ];
  for (const isTime of moments) {
    await killWhen(north, exported, async () => isTime((await files()).filter((name) => /\d/.test(name))));
    const lists = (await files()).filter((name) => name.endsWith('list.json'));
    await exported();
    const after = (await files()).filter((name) => name.endsWith('list.json'));
    assert.ok(after.length >= lists.length && after.length <= lists.length + 1, String(after));
    const { sets } = await north.operator.call(listArchives, {});
    assert.equal(sets.length, after.length, 'the book has each set once');
    await push('moved');
  }
  await exported();
  assert.ok(!(await files()).some((name) => name.endsWith('.unfinished') && name.includes('list')));
});

test('an import that is killed moves all tags or none, and continues with what it has stored', async () => {
  const wanted = await north.tags();
  const blobs = async () => (await readdir(join(south.data, 'blobs'), { recursive: true })).length;
  for (const count of [3, 20]) {
    const isDone = await killWhen(south, imported, async () => (await blobs().catch(() => 0)) > count);
    const tags = await south.tags();
    assert.deepEqual(tags, isDone || Object.keys(tags).length > 0 ? wanted : {});
  }
  const { results } = await imported();
  assert.deepEqual(
    results.map(({ problems }) => problems),
    [[]],
  );
  assert.deepEqual(await south.tags(), wanted);
});

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Backup } from '#proto/content/backups.ts';
import { collectGarbage, garbageCollected } from '#proto/content/maintenance.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { contentOf, digestOf } from '../support/registry/content.ts';
import { request } from '../support/registry/registry.ts';
import { runCommand, startCommand } from '../support/terrace.ts';
import { random } from '../support/time/random.ts';
import { patienceSignal, until } from '../support/until.ts';

const full = process.env.TERRACE_FULL === '1';
const ROUNDS = Number(process.env.TERRACE_BACKUP_ROUNDS ?? (full ? 5 : 1));
/** In each round, before the backup that completes. */
const KILLS = full ? 4 : 2;
const CLIENTS = full ? 8 : 3;
const TAGS = 6;
const SHARED_BYTES = full ? 400_000 : 100_000;
const RATE = full ? '1MB' : '300kB';
const OWN_BYTES = full ? 200_000 : 30_000;
/** Pushes move to other repositories: garbage collection leaves one that somebody pushes to. */
const MOVE_MS = 2_000;

type Image = { bytes: Buffer; digest: string; layers: Buffer[] };
/** One change of a tag. `confirmed`: the answer of success arrived at this time. */
type Change = { digest: string | null; begun: number; confirmed?: number; ended?: number };

/** Clients that push and delete despite failures. Each tag belongs to one of them, so its changes are in order. */
class Load {
  readonly images = new Map<string, Image>();
  readonly changes = new Map<string, Change[]>();
  readonly counts = { pushed: 0, deleted: 0, failed: 0 };
  readonly #layer: TestLayer;
  readonly #next: () => number;
  readonly #shared: Buffer[];
  #serial = 0;
  isOver = false;

  constructor(layer: TestLayer, next: () => number) {
    this.#layer = layer;
    this.#next = next;
    this.#shared = Array.from({ length: 8 }, (_, i) => contentOf({ seed: `s${i}`, size: SHARED_BYTES }));
  }

  async run(client: number): Promise<void> {
    while (!this.isOver) {
      const prefix = `${client % 2 === 0 ? 'up' : 'own'}/c${client}/`;
      const own = [...this.changes.keys()].filter((name) => name.startsWith(prefix));
      const name = own[this.#below(own.length)];
      if (this.#next() < 0.7 || name === undefined) {
        const time = Math.floor(performance.now() / MOVE_MS);
        await this.#push(`${prefix}${time}`, `v${this.#below(TAGS)}`);
      } else {
        const [repository, tag] = name.split(':') as [string, string];
        await this.#delete(repository, tag);
      }
      await sleep((full ? 1_500 : 400) * this.#next());
    }
  }

  /** What a tag may point to in a backup that was begun and ended at these times. */
  allowed(name: string, begun: number, ended: number): Set<string | null> {
    let allowed = new Set<string | null>([null]);
    const unknown = new Set<string | null>();
    for (const change of this.changes.get(name) ?? []) {
      if (change.begun > ended) break;
      const isSure = change.confirmed !== undefined && change.confirmed <= begun;
      if (isSure) allowed = new Set([change.digest, ...unknown]);
      else allowed.add(change.digest);
      // A request without an answer may still take effect later.
      if (change.confirmed === undefined) unknown.add(change.digest);
    }
    return allowed;
  }

  /** For a failure: the changes of a tag, in ms since a time. */
  historyOf(name: string, since: number): string {
    return JSON.stringify(
      this.changes
        .get(name)
        ?.map(({ digest, begun, confirmed }) => [
          digest?.slice(7, 15),
          Math.round(begun - since),
          confirmed === undefined ? 'unknown' : Math.round(confirmed - since),
        ]),
    );
  }

  async #push(repository: string, tag: string): Promise<void> {
    this.#serial += 1;
    const own = contentOf({ seed: `own ${this.#serial}`, size: 1 + this.#below(OWN_BYTES) });
    const layers = [Buffer.from('{}'), this.#shared[this.#below(8)] as Buffer, own];
    const [config, ...rest] = layers.map((bytes) => ({
      mediaType: 'application/octet-stream',
      digest: digestOf(bytes),
      size: bytes.byteLength,
    }));
    const mediaType = mediaTypes.ociManifest;
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: rest }));
    const image = { bytes, digest: digestOf(bytes), layers };
    for (const layer of layers) {
      const path = `/v2/${repository}/blobs/uploads/?digest=${digestOf(layer)}`;
      const head = await this.#ask(`/v2/${repository}/blobs/${digestOf(layer)}`, { method: 'HEAD' });
      if (head === 200) continue;
      if ((await this.#ask(path, { method: 'POST', body: layer as Buffer<ArrayBuffer> })) !== 201) return;
    }
    this.images.set(image.digest, image);
    const headers = { 'content-type': mediaType };
    const body = bytes as Buffer<ArrayBuffer>;
    const path = `/v2/${repository}/manifests/${tag}`;
    const isDone = await this.#change(`${repository}:${tag}`, image.digest, () =>
      this.#ask(path, { method: 'PUT', headers, body }),
    );
    if (isDone) this.counts.pushed += 1;
  }

  async #delete(repository: string, tag: string): Promise<void> {
    const path = `/v2/${repository}/manifests/${tag}`;
    const isDone = await this.#change(`${repository}:${tag}`, null, () =>
      this.#ask(path, { method: 'DELETE' }),
    );
    if (isDone) this.counts.deleted += 1;
  }

  async #change(
    name: string,
    digest: string | null,
    work: () => Promise<number | undefined>,
  ): Promise<boolean> {
    const change: Change = { digest, begun: performance.now() };
    const all = this.changes.get(name) ?? [];
    this.changes.set(name, all);
    all.push(change);
    const status = await work();
    if (status === 404 && digest === null) {
      // It was not there: nothing was changed.
      change.confirmed = performance.now();
      return false;
    }
    if (status === 201 || status === 202) {
      change.confirmed = performance.now();
      return true;
    }
    this.counts.failed += 1;
    return false;
  }

  /** @returns undefined without an answer */
  async #ask(path: string, init: RequestInit): Promise<number | undefined> {
    try {
      const bounded = { ...init, signal: patienceSignal(15_000) } as Parameters<typeof request>[2];
      const response = await request(this.#layer.url, path, bounded);
      await response.arrayBuffer();
      return response.status;
    } catch {
      await sleep(50 + 100 * this.#next());
      return undefined;
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }
}

/** Path by digest of all files of content in a folder. */
async function contentIn(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(join(folder, 'blobs'), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return new Map(files.map(({ parentPath, name }) => [`sha256:${name}`, join(parentPath, name)]));
}

async function mustBeSound(content: Map<string, string>): Promise<number> {
  let bytes = 0;
  for (const [digest, path] of content) {
    const read = await readFile(path);
    assert.equal(`sha256:${createHash('sha256').update(read).digest('hex')}`, digest, path);
    bytes += read.byteLength;
  }
  return bytes;
}

test('backups under load, with kills of storage and of the command, are complete and sound once restored', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const next = random(seed);
  const root = await mkdtemp(join(tmpdir(), 'terrace-rounds-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  const configFile = join(root, 'layer.yaml');
  await writeFile(
    configFile,
    'repositories: [up/*]\ngarbageCollection: { enabled: false, grace: PT1S, uploads: PT2S }\n',
  );
  const target = join(root, 'b');
  await using top = await testLayer({ name: 'top', compact: 'hosted' });
  const data = join(root, 'data');
  await mkdir(data);
  await using layer = await testLayer({ configFile, data, parent: top.url, schedule: '* * * * *' });
  await using _child = await testLayer({
    name: 'c',
    compact: 'hosted',
    parent: layer.url,
    schedule: '* * * * *',
  });
  const load = new Load(layer, next);
  const clients = Array.from({ length: CLIENTS }, (_, index) => load.run(index));
  const collecting = (async () => {
    for (; !load.isOver; await sleep(1_000)) {
      const signal = AbortSignal.timeout(5_000);
      await layer
        .bus()
        .call(collectGarbage, { dryRun: false }, { signal })
        .catch((error) => {
          if (!Fault.is(error, 'busy', 'unavailable') && error.name !== 'TimeoutError') throw error;
        });
    }
  })();
  const endLoad = async () => {
    load.isOver = true;
    await Promise.all([...clients, collecting]);
  };
  const stats = { backups: 0, killed: { storage: 0, command: 0 }, collected: 0, blobs: 0, bytes: 0, tags: 0 };
  layer.bus().listen(garbageCollected, ({ data: { blobs } }) => {
    stats.collected += blobs;
  });
  /** Undefined while storage does not answer. */
  const status = () =>
    layer
      .bus()
      .call(storageStatus, {}, { patience: 15_000, signal: AbortSignal.timeout(5_000) })
      .catch(() => undefined);
  const isRunning = async () => (await status())?.backup?.running !== undefined;
  let complete: string[] = [];
  try {
    await until(() => load.counts.pushed >= 20, 'the first pushes');
    for (let round = 0; round < ROUNDS; round += 1) {
      for (let kill = 0; kill < KILLS; ) {
        const victim = (kill + round) % 2 === 0 ? 'storage' : 'command';
        await using command = startCommand('backup', target, '--data', data, '--rate', RATE);
        const { pid, exitCode } = command.child;
        const hasEnded = () => command.child.exitCode !== exitCode;
        const isKillable = async () => hasEnded() || (await isRunning());
        await until(isKillable, () => `a backup has begun; ${command.text}`);
        const end = performance.now() + 1_500 * next();
        while (!hasEnded() && performance.now() < end) await sleep(20);
        // A short one may have ended before its kill.
        if (!hasEnded()) {
          if (victim === 'storage') layer.killWithoutWaiting('storage');
          else process.kill(-(pid as number), 'SIGKILL');
          stats.killed[victim] += 1;
          kill += 1;
        }
        const code = await command.exited();
        if (victim === 'storage') await until(async () => (await status()) !== undefined, 'storage is back');
        // What a killed command began is finished by storage.
        else
          await until(
            async () => (await status())?.backup?.running === undefined,
            'the backup of the killed command has ended',
            120_000,
          );
        t.diagnostic(`round ${round}: kill of ${victim}, the command ended with ${code}`);
        // All earlier backups are there.
        const list = await runCommand('backup', 'list', target, '--json');
        if (list.code !== 0) {
          // The first one was killed before it had made its target.
          assert.match(list.text, /has no backups|ENOENT/);
          assert.deepEqual(complete, []);
          continue;
        }
        const listed = JSON.parse(list.stdout) as { backups: { id: string }[]; unreadable: string[] };
        assert.deepEqual(listed.unreadable, []);
        const ids = listed.backups.map(({ id }) => id);
        for (const id of complete) assert.ok(ids.includes(id), `${id} is there`);
        complete = ids;
      }
      const begun = performance.now();
      const keep = round === 3 ? ['--keep', '2'] : [];
      const done = await runCommand('backup', target, '--data', data, ...keep, '--json');
      const ended = performance.now();
      assert.equal(done.code, 0, done.text);
      // What follows reads the backup, which the layer no longer changes.
      if (round === ROUNDS - 1) await endLoad();
      const backup = JSON.parse(done.stdout) as Backup;
      stats.backups += 1;
      complete = keep.length > 0 ? [backup.id] : [...complete, backup.id];
      const checked = await runCommand('backup', 'check', target);
      assert.equal(checked.code, 0, checked.text);

      const restored = join(root, `restored-${round}`);
      {
        await using interrupted = startCommand('restore', target, '--data', restored);
        await sleep(600 * next());
        process.kill(-(interrupted.child.pid as number), 'SIGKILL');
        await interrupted.exited();
      }
      const again = await runCommand('restore', target, '--data', restored, '--json');
      assert.ok(again.code === 0 || again.text.includes('is not empty'), again.text);
      const content = await contentIn(restored);
      assert.equal(content.size, backup.blobs, 'each blob is there');
      assert.equal(await mustBeSound(content), backup.bytes);
      const [inBackup, inLayer] = [await contentIn(target), await contentIn(data)];
      for (const digest of content.keys()) assert.ok(inBackup.has(digest), digest);
      // What the layer has had since before the backup, and has still.
      const listed = [...inLayer.keys()].filter((digest) => content.has(digest));
      await using other = await testLayer({ data: restored, compact: 'hosted', name: 'restored' });
      const names = [...load.changes.keys()];
      for (const name of names) {
        const [repository, tag] = name.split(':') as [string, string];
        const allowed = load.allowed(name, begun, ended);
        const answer = await request(other.url, `/v2/${repository}/manifests/${tag}`);
        const bytes = Buffer.from(await answer.arrayBuffer());
        const digest = answer.status === 200 ? digestOf(bytes) : null;
        assert.ok(
          allowed.has(digest),
          `${name} is ${digest}, not ${[...allowed]}; ${load.historyOf(name, begun)}`,
        );
        const image = digest === null ? undefined : load.images.get(digest);
        if (!image) continue;
        stats.tags += 1;
        for (const blob of image.layers) {
          const got = await request(other.url, `/v2/${repository}/blobs/${digestOf(blob)}`);
          assert.equal(got.status, 200, `${digestOf(blob)} of ${name}`);
          assert.ok(Buffer.from(await got.arrayBuffer()).equals(blob));
        }
      }
      stats.blobs += content.size;
      stats.bytes += backup.bytes;
      t.diagnostic(
        `round ${round}: backup ${backup.id}, ${backup.blobs} blobs (${listed.length} still here), ${backup.written.blobs} new`,
      );
    }
  } finally {
    await endLoad();
  }
  t.diagnostic(JSON.stringify({ ...stats, ...load.counts }));
  assert.ok(
    load.counts.deleted > 0 &&
      (!full || stats.collected > 0) &&
      stats.killed.storage > 0 &&
      stats.killed.command > 0,
  );
});

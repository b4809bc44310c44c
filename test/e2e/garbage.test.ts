import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { collectGarbage, garbageCollected } from '#proto/content/maintenance.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { contentOf, digestOf } from '../support/registry/content.ts';
import { request } from '../support/registry/registry.ts';
import { random } from '../support/time/random.ts';
import { patienceSignal, until } from '../support/until.ts';

const full = process.env.TERRACE_FULL === '1';
const CLIENTS = full ? 200 : 16;
const GRACE_MS = 1_000;
/** The supervisor restarts a program that ran for this time at once, and one that ends sooner later each time. */
const STABLE_MS = full ? 31_000 : 0;
/** The minimum of each. The kills are spread over the pushes. */
const PUSHES = full ? 6_000 : 36;
const KILLS = full ? 24 : 3;
/** Without a confirmed deletion there is no garbage. */
const DELETES = full ? 100 : 1;
const RUNS = full ? 30 : 3;
const REPOSITORIES = 3;
/** Pushes move to other repositories: one with an open upload keeps all of its content. */
const MOVE_MS = 1_000;
/** Layers that images share, so that deleted blobs are pushed again. */
const SHARED = 12;
const PROGRAMS = ['gateway', 'storage', 'nats-server', 'syncer-1'];

let folder: string;
let configFile: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-garbage-'));
  configFile = join(folder, 'layer.yaml');
  // By default, an upload that a kill left open protects all content of its repository for a day.
  const garbage = `{ enabled: false, grace: PT${GRACE_MS / 1_000}S, uploads: PT2S }`;
  await writeFile(configFile, `mode: ReadWrite\ngarbageCollection: ${garbage}\n`);
});
after(() => rm(folder, { recursive: true, force: true }));

type Image = { repository: string; bytes: Buffer; digest: string; layers: Buffer[] };

/** Clients that push, pull and delete despite failures, and record the pushes that were confirmed. */
class Clients {
  readonly #layer: TestLayer;
  readonly #next: () => number;
  readonly #shared: Buffer[];
  /** Images whose push was answered 201, and whose deletion no client has requested since. */
  readonly confirmed = new Map<string, Image>();
  readonly counts = { pushed: 0, retried: 0, pulled: 0, deleted: 0 };
  #serial = 0;

  constructor(layer: TestLayer, next: () => number) {
    this.#layer = layer;
    this.#next = next;
    this.#shared = Array.from({ length: SHARED }, (_, i) =>
      contentOf({ seed: `s${i}`, size: 1 + this.#below(90_000) }),
    );
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const dice = this.#next();
      if (dice < 0.6 || this.confirmed.size === 0) await this.#push();
      else {
        const images = [...this.confirmed.values()];
        const image = images[this.#below(images.length)] as Image;
        if (dice < 0.8) await this.#pull(image);
        else await this.delete(image);
      }
    }
  }

  /** Compares the image with what was pushed, byte for byte. */
  async check({ repository, bytes, digest, layers }: Image): Promise<void> {
    const manifest = await this.#answer(`/v2/${repository}/manifests/${digest}`);
    assert.equal(manifest?.status, 200, `manifest ${digest} of ${repository}`);
    assert.ok(manifest.bytes.equals(bytes));
    for (const layer of layers) {
      const blob = await this.#answer(`/v2/${repository}/blobs/${digestOf(layer)}`);
      assert.equal(blob?.status, 200, `blob ${digestOf(layer)} of ${repository}`);
      assert.ok(blob.bytes.equals(layer));
    }
  }

  async delete({ repository, digest }: Image): Promise<boolean> {
    this.confirmed.delete(digest);
    const answer = await this.#ask(`/v2/${repository}/manifests/${digest}`, { method: 'DELETE' });
    if (answer?.status === 202) this.counts.deleted += 1;
    return answer?.status === 202 || answer?.status === 404;
  }

  async #pull(image: Image): Promise<void> {
    const manifest = await this.#ask(`/v2/${image.repository}/manifests/${image.digest}`);
    // Another client may delete it meanwhile.
    if (manifest?.status === 200) assert.ok(manifest.bytes.equals(image.bytes));
    else if (manifest?.status === 404)
      assert.ok(!this.confirmed.has(image.digest), `${image.digest} is lost`);
    this.counts.pulled += 1;
  }

  /** As real clients: first the blobs that are missing, then the manifest. A failed push is repeated. */
  async #push(): Promise<void> {
    const time = Math.floor(Date.now() / MOVE_MS) % 1_000;
    const repository = `app-${time}/${this.#below(REPOSITORIES)}`;
    this.#serial += 1;
    const own = contentOf({ seed: `own ${this.#serial}`, size: 1 + this.#below(50_000) });
    const layers = [Buffer.from('{}'), this.#shared[this.#below(SHARED)] as Buffer, own];
    const [config, ...rest] = layers.map((bytes) => ({
      mediaType: 'application/octet-stream',
      digest: digestOf(bytes),
      size: bytes.byteLength,
    }));
    const mediaType = mediaTypes.ociManifest;
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: rest }));
    const image = { repository, bytes, digest: digestOf(bytes), layers };
    for (let attempt = 0; attempt < 5; attempt += 1) {
      if (attempt > 0) this.counts.retried += 1;
      if (!(await this.#pushLayers(image))) continue;
      const headers = { 'content-type': mediaType };
      const path = `/v2/${repository}/manifests/v${this.#serial % 50}`;
      const answer = await this.#ask(path, { method: 'PUT', headers, body: bytes as Buffer<ArrayBuffer> });
      if (answer?.status !== 201) continue;
      this.confirmed.set(image.digest, image);
      this.counts.pushed += 1;
      return;
    }
  }

  async #pushLayers({ repository, layers }: Image): Promise<boolean> {
    for (const layer of layers) {
      const digest = digestOf(layer);
      const head = await this.#ask(`/v2/${repository}/blobs/${digest}`, { method: 'HEAD' });
      if (head?.status === 200) continue;
      const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
      const answer = await this.#ask(path, { method: 'POST', body: layer as Buffer<ArrayBuffer> });
      if (answer?.status !== 201) return false;
    }
    return true;
  }

  /** @returns undefined without a complete answer: nothing was confirmed then */
  async #ask(path: string, init: RequestInit = {}): Promise<{ status: number; bytes: Buffer } | undefined> {
    try {
      const bounded = { ...init, signal: patienceSignal(10_000) } as Parameters<typeof request>[2];
      const response = await request(this.#layer.url, path, bounded);
      return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
    } catch {
      // A gateway that was killed is restarted soon.
      await sleep(50 + 100 * this.#next());
      return undefined;
    }
  }

  /** Repeats the request until a program that was killed has been restarted. */
  async #answer(path: string): Promise<{ status: number; bytes: Buffer } | undefined> {
    let answer: { status: number; bytes: Buffer } | undefined;
    const isAnswered = async () => {
      answer = await this.#ask(path);
      return answer !== undefined && answer.status < 500;
    };
    await until(isAnswered, `an answer for ${path}`);
    return answer;
  }

  #below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }
}

/** Runs the task for each item, eight at a time. */
async function forEach<T>(items: Iterable<T>, task: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) await task(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

/** A run continues in storage after its caller has timed out. */
async function collect(layer: TestLayer, patienceMs = 10_000) {
  try {
    const signal = AbortSignal.timeout(patienceMs);
    return await layer.bus().call(collectGarbage, { dryRun: false }, { signal });
  } catch (error) {
    if (!Fault.is(error, 'busy', 'unavailable') && (error as Error).name !== 'TimeoutError') throw error;
    return undefined;
  }
}

test('no push is lost while clients push, pull and delete, garbage is collected and processes are killed', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const next = random(seed);
  await using layer = await testLayer({ configFile });
  const clients = new Clients(layer, next);
  const stats = { runs: 0, links: 0, blobs: 0, kills: 0 };
  const limit = patienceSignal(full ? 600_000 : 60_000);
  const isEnough = () =>
    clients.counts.pushed >= PUSHES &&
    clients.counts.deleted >= DELETES &&
    stats.kills >= KILLS &&
    stats.runs >= RUNS;
  const isOver = () => isEnough() || limit.aborted;
  layer.bus().listen(garbageCollected, ({ data }) => {
    stats.runs += 1;
    stats.links += data.links;
    stats.blobs += data.blobs;
  });
  const collectRepeatedly = async () => {
    for (; !isOver(); await sleep(GRACE_MS)) await collect(layer, 1_000);
  };
  const killPrograms = async () => {
    const killed = new Map<string, number>();
    for (; !isOver() && stats.kills < KILLS; await sleep(20)) {
      if (clients.counts.pushed < ((stats.kills + 1) * PUSHES) / (KILLS + 1)) continue;
      const program = PROGRAMS[Math.floor(next() * PROGRAMS.length)] as string;
      if (layer.pids()[program] === undefined) continue;
      if (Date.now() - (killed.get(program) ?? 0) < STABLE_MS) continue;
      killed.set(program, Date.now());
      layer.killWithoutWaiting(program);
      stats.kills += 1;
    }
  };
  await Promise.all([
    collectRepeatedly(),
    killPrograms(),
    ...Array.from({ length: CLIENTS }, () => clients.run(isOver)),
  ]);
  t.diagnostic(JSON.stringify({ ...stats, ...clients.counts }));
  assert.ok(isEnough(), `too little happened: ${JSON.stringify({ ...stats, ...clients.counts })}`);

  // All grace ends, then the garbage is deleted.
  const collectBlobs = async (blobs: number) => {
    const areCollected = async () => {
      if (stats.blobs < blobs) await collect(layer);
      return stats.blobs >= blobs;
    };
    await until(areCollected, () => `${stats.blobs} blobs were collected, not ${blobs}`);
  };
  await sleep(GRACE_MS);
  await collectBlobs(1);
  await forEach(clients.confirmed.values(), (image) => clients.check(image));

  // At least the manifest and the own layer of each image.
  const remaining = [...clients.confirmed.values()];
  await forEach(remaining, async (image) => assert.ok(await clients.delete(image)));
  await collectBlobs(stats.blobs + 2 * remaining.length);
});

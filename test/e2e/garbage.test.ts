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
import { ask } from '../support/registry/registry.ts';
import { random } from '../support/time/random.ts';
import { patienceSignal, until } from '../support/until.ts';

const full = process.env.TERRACE_FULL === '1';
const CLIENTS = full ? 200 : 16;
const GRACE_MS = 1_000;
/** A program that ran so long comes back at once; one that ends sooner is left alone for longer each time. */
const SETTLED_MS = full ? 31_000 : 0;
/** So much has to happen; a kill comes after each `PUSHES / KILLS` of the pushes. */
const PUSHES = full ? 6_000 : 36;
const KILLS = full ? 24 : 3;
/** Without one that was answered there is no garbage. */
const DELETES = full ? 100 : 1;
const RUNS = full ? 30 : 3;
const REPOSITORIES = 3;
/** Then pushes go to other repositories: one that is pushed to keeps all that it has. */
const MOVE_MS = 1_000;
/** Layers that pushes share, so that what one deletes another pushes again. */
const SHARED = 12;
const PROGRAMS = ['gateway', 'storage', 'nats-server', 'syncer-1'];

let folder: string;
let configFile: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-garbage-'));
  configFile = join(folder, 'layer.yaml');
  // An upload that a kill left open would keep all of its repository for a day.
  const garbage = `{ enabled: false, grace: PT${GRACE_MS / 1_000}S, uploads: PT2S }`;
  await writeFile(configFile, `mode: ReadWrite\ngarbageCollection: ${garbage}\n`);
});
after(() => rm(folder, { recursive: true, force: true }));

type Image = { repository: string; bytes: Buffer; digest: string; layers: Buffer[] };

/** Clients that push, pull and delete through whatever happens, and know what they were told. */
class Crowd {
  readonly #layer: TestLayer;
  readonly #next: () => number;
  readonly #shared: Buffer[];
  /** Answered 201, and nobody asked to delete it since. */
  readonly kept = new Map<string, Image>();
  readonly counts = { pushed: 0, again: 0, pulled: 0, deleted: 0 };
  #serial = 0;

  constructor(layer: TestLayer, next: () => number) {
    this.#layer = layer;
    this.#next = next;
    this.#shared = Array.from({ length: SHARED }, (_, i) =>
      contentOf({ seed: `s${i}`, size: 1 + this.#below(90_000) }),
    );
  }

  async live(over: () => boolean): Promise<void> {
    while (!over()) {
      const dice = this.#next();
      if (dice < 0.6 || this.kept.size === 0) await this.#push();
      else {
        const known = [...this.kept.values()];
        const image = known[this.#below(known.length)] as Image;
        if (dice < 0.8) await this.#pull(image);
        else await this.delete(image);
      }
    }
  }

  /** Byte for byte what was pushed. */
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
    this.kept.delete(digest);
    const answer = await this.#ask(`/v2/${repository}/manifests/${digest}`, { method: 'DELETE' });
    if (answer?.status === 202) this.counts.deleted += 1;
    return answer?.status === 202 || answer?.status === 404;
  }

  async #pull(image: Image): Promise<void> {
    const manifest = await this.#ask(`/v2/${image.repository}/manifests/${image.digest}`);
    // Somebody may delete it meanwhile.
    if (manifest?.status === 200) assert.ok(manifest.bytes.equals(image.bytes));
    else if (manifest?.status === 404) assert.ok(!this.kept.has(image.digest), `${image.digest} is lost`);
    this.counts.pulled += 1;
  }

  /** As clients push: what is there is not sent again, then the manifest; once more where something was in the way. */
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
      if (attempt > 0) this.counts.again += 1;
      if (!(await this.#pushLayers(image))) continue;
      const headers = { 'content-type': mediaType };
      const path = `/v2/${repository}/manifests/v${this.#serial % 50}`;
      const answer = await this.#ask(path, { method: 'PUT', headers, body: bytes as Buffer<ArrayBuffer> });
      if (answer?.status !== 201) continue;
      this.kept.set(image.digest, image);
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

  /** @returns undefined where no whole answer came: nothing was promised then */
  async #ask(path: string, init: RequestInit = {}): Promise<{ status: number; bytes: Buffer } | undefined> {
    try {
      const asked = { ...init, signal: patienceSignal(10_000) } as Parameters<typeof ask>[2];
      const response = await ask(this.#layer.url, path, asked);
      return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
    } catch {
      // A gateway that was killed comes back in a moment.
      await sleep(50 + 100 * this.#next());
      return undefined;
    }
  }

  /** Waits for a program that was killed last to be back. */
  async #answer(path: string): Promise<{ status: number; bytes: Buffer } | undefined> {
    let answer: { status: number; bytes: Buffer } | undefined;
    const answered = async () => {
      answer = await this.#ask(path);
      return answer !== undefined && answer.status < 500;
    };
    await until(answered, `an answer for ${path}`);
    return answer;
  }

  #below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }
}

/** Eight at a time. */
async function each<T>(items: Iterable<T>, task: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const runner = async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await task(item);
  };
  await Promise.all(Array.from({ length: 8 }, runner));
}

/** A run goes on in storage where nobody waits for it any more. */
async function collect(layer: TestLayer, patienceMs = 10_000) {
  try {
    const signal = AbortSignal.timeout(patienceMs);
    return await layer.bus().call(collectGarbage, { dryRun: false }, { signal });
  } catch (error) {
    if (!Fault.is(error, 'busy', 'unavailable') && (error as Error).name !== 'TimeoutError') throw error;
    return undefined;
  }
}

test('pushes, pulls and deletes while garbage is collected every second and processes are killed: no push is lost', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const next = random(seed);
  await using layer = await testLayer({ configFile });
  const crowd = new Crowd(layer, next);
  const tally = { runs: 0, links: 0, blobs: 0, kills: 0 };
  const limit = patienceSignal(full ? 600_000 : 60_000);
  const enough = () =>
    crowd.counts.pushed >= PUSHES &&
    crowd.counts.deleted >= DELETES &&
    tally.kills >= KILLS &&
    tally.runs >= RUNS;
  const over = () => enough() || limit.aborted;
  layer.bus().listen(garbageCollected, ({ data }) => {
    tally.runs += 1;
    tally.links += data.links;
    tally.blobs += data.blobs;
  });
  const collecting = async () => {
    for (; !over(); await sleep(GRACE_MS)) await collect(layer, 1_000);
  };
  const killing = async () => {
    const killed = new Map<string, number>();
    for (; !over() && tally.kills < KILLS; await sleep(20)) {
      if (crowd.counts.pushed < ((tally.kills + 1) * PUSHES) / (KILLS + 1)) continue;
      const program = PROGRAMS[Math.floor(next() * PROGRAMS.length)] as string;
      if (layer.pids()[program] === undefined) continue;
      if (Date.now() - (killed.get(program) ?? 0) < SETTLED_MS) continue;
      killed.set(program, Date.now());
      layer.killNow(program);
      tally.kills += 1;
    }
  };
  await Promise.all([collecting(), killing(), ...Array.from({ length: CLIENTS }, () => crowd.live(over))]);
  t.diagnostic(JSON.stringify({ ...tally, ...crowd.counts }));
  assert.ok(enough(), `not enough happened: ${JSON.stringify({ ...tally, ...crowd.counts })}`);

  // Whatever is left of the grace runs out, and what is garbage goes.
  const collected = async (blobs: number) => {
    const are = async () => {
      if (tally.blobs < blobs) await collect(layer);
      return tally.blobs >= blobs;
    };
    await until(are, () => `${tally.blobs} blobs were collected, not ${blobs}`);
  };
  await sleep(GRACE_MS);
  await collected(1);
  await each(crowd.kept.values(), (image) => crowd.check(image));

  // Of each image at least the manifest and its own layer.
  const last = [...crowd.kept.values()];
  await each(last, async (image) => assert.ok(await crowd.delete(image)));
  await collected(tally.blobs + 2 * last.length);
});

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { Audit } from '../../../services/storage/audit/audit.ts';
import { BlobStore } from '../../../services/storage/content/blob-store.ts';
import { Blobs } from '../../../services/storage/content/blobs.ts';
import { Commits } from '../../../services/storage/content/commit.ts';
import { GRACE_MS, Grace } from '../../../services/storage/content/grace.ts';
import { Ingests } from '../../../services/storage/content/ingests.ts';
import { SpaceGuard } from '../../../services/storage/content/space-guard.ts';
import { DeltaCache } from '../../../services/storage/deltas/delta-cache.ts';
import { RefusedPairs } from '../../../services/storage/deltas/refused-pairs.ts';
import { EventOutbox } from '../../../services/storage/history/event-outbox.ts';
import { GarbageCollector } from '../../../services/storage/maintenance/garbage.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { Manifests } from '../../../services/storage/repositories/manifests.ts';
import { Tags } from '../../../services/storage/repositories/tags.ts';
import { Outgoing } from '../../../services/storage/sync/outgoing.ts';
import { Selection } from '../../../services/storage/sync/selection.ts';
import { quiet } from '../../support/bus.ts';
import { bytesOf, digestOf, imageOf, jsonOf } from '../rig.ts';

/**
 * Garbage collection and one concurrent request, with their steps in any order: each read of metadata and each change
 * of it or of the files is a step. The grace of existing content has passed, so that only the order in which both sides
 * write and read protects it.
 */
class World implements AsyncDisposable {
  readonly data: string;
  readonly metadata: Metadata;
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly ingests: Ingests;
  readonly garbage: GarbageCollector;
  readonly #space: SpaceGuard;
  now = 0;
  steps = 0;
  /** Starts the request at a step in the middle of the collection. */
  begin: { at: number; start: () => void } | undefined;
  /** Set while the steps are scheduled. */
  scheduler: fc.Scheduler | undefined;

  static async open(): Promise<World> {
    const data = await mkdtemp(join(tmpdir(), 'terrace-races-'));
    return new World(data, await Metadata.open(join(data, 'metadata')));
  }

  private constructor(data: string, metadata: Metadata) {
    this.data = data;
    this.metadata = metadata;
    const publish = () => {};
    const stepwise = this.#stepwise(metadata);
    const store = this.#stepwise(new BlobStore(data));
    const locks = new KeyedLock();
    const grace = new Grace(() => this.now);
    this.#space = new SpaceGuard(data, publish, quiet);
    this.#space.reserve = 0;
    const commits = new Commits(stepwise, store, locks, publish);
    const now = () => this.now;
    const deltas = new DeltaCache({ metadata: stepwise, store, grace, locks, log: quiet, now });
    const common = {
      deltas,
      refusedPairs: new RefusedPairs({ metadata: stepwise, now }),
      store,
      commits,
      grace,
      locks,
      publish,
      space: this.#space,
      audit: new Audit({ data, layer: 'layer', log: quiet, now: () => this.now }),
      selection: new Selection(),
      log: quiet,
      now: () => this.now,
      wall: () => this.now,
      running: () => this.now,
    };
    this.ingests = new Ingests(data, { ...common, metadata: stepwise });
    const outbox = new EventOutbox(stepwise, publish);
    const origins = { recordOf: async () => ({ version: 1, digest: '', since: 0, from: 'client' }) as const };
    const deps = { ...common, metadata: stepwise, ingests: this.ingests, outbox, origins };
    this.blobs = new Blobs(deps);
    this.manifests = new Manifests(deps, new Tags(deps), new Outgoing(deps));
    const rules = { graceMs: GRACE_MS, uploadsMs: 9 * GRACE_MS, transfersMs: 9 * GRACE_MS };
    // More than one slice, also of little content.
    this.garbage = new GarbageCollector(deps, data, () => rules, 2);
  }

  /** A held upload with these bytes in it. */
  async uploaded(repository: string, bytes: Uint8Array) {
    const { id, claim, path } = await this.ingests.startUpload({ repository, by: 'a', hold: true });
    await mkdir(join(this.data, path), { recursive: true });
    await writeFile(join(this.data, path, 'data'), bytes);
    return { id, claim };
  }

  async push(repository: string, bytes: Uint8Array): Promise<string> {
    const digest = digestOf(bytes);
    await this.blobs.commit({ ...(await this.uploaded(repository, bytes)), digest, repository });
    return digest;
  }

  /** A held transfer of a delta with these bytes in it, and the query that commits it. */
  async transferredDelta(to: string, bytes: Uint8Array) {
    const [digest, size] = [digestOf(bytes), bytes.byteLength];
    const delta = { to, toSize: 1, from: [to], format: DELTA_FORMAT, kind: 'raw' as const, cpuMs: 0 };
    const { id, claim, path } = await this.ingests.claimTransfer({ digest, size, by: 'a', delta });
    await writeFile(join(this.data, path, 'data'), bytes);
    return { id, claim, digest, delta };
  }

  async isPresent(digest: string): Promise<boolean> {
    const hex = digest.slice(7);
    const file = stat(join(this.data, 'blobs/sha256', hex.slice(0, 2), hex)).catch(() => undefined);
    return !!(await this.metadata.blob(digest)) && !!(await file);
  }

  #stepwise<T extends object>(target: T): T {
    const step = async () => {
      this.steps += 1;
      if (this.steps === this.begin?.at) this.begin.start();
      await this.scheduler?.schedule(Promise.resolve());
    };
    return new Proxy(target, {
      get: (_, name) => {
        const value = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (['path', 'file', 'instant'].includes(String(name))) return value.bind(target);
        return (...args: unknown[]) => {
          if (
            ['named', 'repositories'].includes(String(name)) ||
            /^all|Of(Repository|Subject|Manifest)$/.test(String(name))
          ) {
            return (async function* () {
              await step();
              for await (const entry of value.apply(target, args)) {
                yield entry;
                await step();
              }
            })();
          }
          const result = () => value.apply(target, args);
          if (name === 'ingests') return result();
          return step()
            .then(result)
            .then(async (found: unknown) => step().then(() => found));
        };
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#space[Symbol.asyncDispose]();
    await this.metadata[Symbol.asyncDispose]();
    await rm(this.data, { recursive: true, force: true });
  }
}

type Scene = {
  /** The content that it needs may be deleted. */
  refusable: boolean;
  /** Runs before both start. @returns the request */
  before: (world: World, serial: number) => Promise<() => Promise<unknown>>;
  /** Asserts what a request that succeeded guarantees. */
  holds: (world: World, serial: number) => Promise<void>;
};

const layer = (serial: number) => bytesOf(`layer ${serial}`);
const image = (serial: number) => imageOf(`layer ${serial}`);

const scenes: Record<string, Scene> = {
  'a blob that nothing links is mounted': {
    refusable: true,
    async before({ blobs }, serial) {
      return () => blobs.link('to', [digestOf(layer(serial))]);
    },
    async holds(world, serial) {
      assert.ok(await world.metadata.link('to', digestOf(layer(serial))));
      assert.ok(await world.isPresent(digestOf(layer(serial))));
    },
  },
  'a blob that nothing links is pushed again': {
    refusable: false,
    async before(world, serial) {
      const held = await world.uploaded('to', layer(serial));
      return () => world.blobs.commit({ ...held, digest: digestOf(layer(serial)), repository: 'to' });
    },
    async holds(world, serial) {
      assert.ok(await world.metadata.link('to', digestOf(layer(serial))));
      assert.ok(await world.isPresent(digestOf(layer(serial))));
    },
  },
  'a layer that no manifest names yet is requested': {
    refusable: true,
    async before(world, serial) {
      const digest = await world.push('to', layer(serial));
      return () => world.blobs.locate('to', digest);
    },
    async holds(world, serial) {
      assert.ok(await world.metadata.link('to', digestOf(layer(serial))));
      assert.ok(await world.isPresent(digestOf(layer(serial))));
    },
  },
  'a manifest arrives that names blobs nothing named': {
    refusable: true,
    async before(world, serial) {
      await world.push('from', bytesOf('{}'));
      await world.push('from', layer(serial));
      const bytes = jsonOf(image(serial));
      // An open upload would protect all blobs of its repository.
      const held = await world.uploaded('elsewhere', bytes);
      const query = { repository: 'from', digest: digestOf(bytes), mediaType: mediaTypes.ociManifest };
      return () => world.manifests.put({ ...held, ...query, tag: 'latest' });
    },
    async holds(world, serial) {
      assert.ok(await world.metadata.manifest('from', digestOf(jsonOf(image(serial)))));
      for (const bytes of [jsonOf(image(serial)), bytesOf('{}'), layer(serial)]) {
        assert.ok(await world.isPresent(digestOf(bytes)));
      }
      for (const bytes of [bytesOf('{}'), layer(serial)]) {
        assert.ok(await world.metadata.link('from', digestOf(bytes)));
      }
    },
  },
};

const delta = (serial: number) => bytesOf(`delta ${serial}`);

/** Deltas to the blob that nothing links, which is deleted with its deltas. */
const deltaScenes: typeof scenes = {
  'the content of a delta is mounted': {
    refusable: true,
    async before(world, serial) {
      await world.blobs.commit(await world.transferredDelta(digestOf(layer(serial)), delta(serial)));
      return () => world.blobs.link('to', [digestOf(delta(serial))]);
    },
    async holds(world, serial) {
      assert.ok(await world.metadata.link('to', digestOf(delta(serial))));
      assert.ok(await world.isPresent(digestOf(delta(serial))));
    },
  },
  'the content of a delta is pushed as a blob': {
    refusable: false,
    async before(world, serial) {
      await world.blobs.commit(await world.transferredDelta(digestOf(layer(serial)), delta(serial)));
      const held = await world.uploaded('to', delta(serial));
      return () => world.blobs.commit({ ...held, digest: digestOf(delta(serial)), repository: 'to' });
    },
    async holds(world, serial) {
      assert.ok(await world.metadata.link('to', digestOf(delta(serial))));
      assert.ok(await world.isPresent(digestOf(delta(serial))));
    },
  },
};

const refusals = ['blob-unknown', 'name-unknown', 'manifest-blob-unknown'];

for (const [name, scene] of Object.entries({ ...scenes, ...deltaScenes })) {
  test(`during garbage collection, ${name}: it is refused, or all its content is present`, async () => {
    let serial = 0;
    let stepCount = 1;
    const outcomes = new Set<string>();
    const once = async (scheduler: fc.Scheduler) => {
      serial += 1;
      await using world = await World.open();
      const digest = await world.push('from', layer(serial));
      await world.blobs.unlink('from', digest);
      const request = await scene.before(world, serial);
      world.now += 2 * GRACE_MS;
      world.scheduler = scheduler;
      world.steps = 0;
      const begin = Promise.withResolvers<void>();
      // At each step of a collection in turn.
      world.begin = { at: 1 + (serial % stepCount), start: begin.resolve };
      const collected = world.garbage.collect(false).finally(begin.resolve);
      const both = Promise.all([
        collected,
        begin.promise.then(request).then(
          () => 'ok',
          (error) => {
            if (Fault.is(error) && refusals.includes(error.code)) return error.code;
            throw error;
          },
        ),
      ]);
      const [, outcome] = await scheduler.waitFor(both);
      world.scheduler = undefined;
      stepCount = world.steps;
      outcomes.add(outcome);
      for await (const [repository, named] of world.metadata.named('l')) {
        assert.ok(await world.isPresent(named), `${repository} links ${named}, which is missing`);
      }
      for await (const [kept] of world.metadata.allDeltas())
        assert.ok(await world.isPresent(kept), `the delta ${kept} has no content`);
      if (outcome === 'ok') await scene.holds(world, serial);
    };
    const numRuns = process.env.TERRACE_FULL === '1' ? 2_000 : 40;
    await fc.assert(fc.asyncProperty(fc.scheduler(), once), {
      numRuns,
      endOnFailure: true,
    });
    assert.ok(outcomes.has('ok'), 'the request came first at least once');
    assert.equal(outcomes.size > 1, scene.refusable, [...outcomes].join());
  });
}

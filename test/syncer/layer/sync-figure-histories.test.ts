import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { layerStatus } from '#proto/overview/layer-status.ts';
import { syncFigure } from '#proto/overview/sync-state.ts';
import { syncTags } from '#proto/sync/behind.ts';
import { startPass } from '#proto/sync/passes.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import { deleteManifest, getManifest, pushImage, tagsOf } from '../../support/registry/image.ts';
import { patience, until } from '../../support/until.ts';

/**
 * The figure of synchronization under random histories: clients change both registries while passes run, the link is
 * cut, blobs are slow or refused, and processes are killed. All the while, the figure is held against the tags of both.
 */

const REPOSITORIES = ['line/app', 'line/tool'];
/** Its blobs may be refused. */
const REFUSED = /^\/v2\/line\/tool\/blobs\//;
const TAGS = ['a', 'b', 'c'];
const KINDS = [
  ...['push above', 'push above', 'push above', 'delete above', 'push here', 'push here', 'delete here'],
  ...['begin a pass', 'begin a pass', 'cut', 'restore', 'hold', 'release', 'refuse', 'allow'],
  ...['kill syncer-1', 'kill storage', 'kill gateway', 'compare', 'compare', 'compare'],
];
const Step = fc.record({
  kind: fc.constantFrom(...KINDS),
  repository: fc.constantFrom(...REPOSITORIES),
  tag: fc.constantFrom(...TAGS),
});
type Step = { kind: string; repository: string; tag: string };

/** Max passes after the last change until both are equal. */
const MAX_PASSES = 3;

/** `repository:tag` to digest. */
type Tags = Map<string, string>;

/** A tag that is listed without a manifest does not exist: docker-registry deletes both one after the other. */
async function readTags(host: string): Promise<Tags> {
  const tags: Tags = new Map();
  for (const repository of REPOSITORIES) {
    for (const tag of await tagsOf(host, repository)) {
      const manifest = await getManifest(host, repository, tag);
      if (manifest) tags.set(`${repository}:${tag}`, manifest.digest);
    }
  }
  return tags;
}

class World {
  readonly cloud: Cloud;
  readonly proxy: FaultProxy;
  readonly layer: TestLayer;
  readonly log: string[] = [];
  /** When a client last changed a tag, by side and name; infinite while it does. */
  readonly #changed = { above: new Map<string, number>(), here: new Map<string, number>() };
  #serial = 0;
  #isCut = false;
  #isRefusing = false;
  #held: PromiseWithResolvers<void> | undefined;

  constructor(cloud: Cloud, proxy: FaultProxy, layer: TestLayer) {
    this.cloud = cloud;
    this.proxy = proxy;
    this.layer = layer;
    proxy.fault(({ method, path }) => {
      if (method !== 'GET' || !/\/blobs\//.test(path)) return undefined;
      if (this.#isRefusing && REFUSED.test(path)) return { answer: { status: 403 } };
      return this.#held && { hold: this.#held.promise };
    });
  }

  async run({ kind, repository, tag }: Step): Promise<void> {
    this.log.push(/above|here/.test(kind) ? `${kind}: ${repository}:${tag}` : kind);
    const [verb, object = ''] = kind.split(' ');
    const side = object === 'above' ? 'above' : 'here';
    const host = side === 'above' ? this.cloud.url : this.layer.host;
    switch (verb) {
      case 'push':
        this.#serial += 1;
        return this.#change(side, `${repository}:${tag}`, async () => {
          const layers = [{ seed: `${process.pid} ${this.#serial}`, size: 50_000 }];
          await pushImage(host, repository, tag, { layers });
        });
      case 'delete':
        return this.#change(side, `${repository}:${tag}`, async () => {
          // A pass may delete it meanwhile.
          if (await getManifest(host, repository, tag))
            await deleteManifest(host, repository, tag).catch(() => {});
        });
      case 'begin':
        // A syncer that was killed is back after a while.
        await this.layer.bus().call(startPass, { full: true }, { patience: patience(60_000) });
        return;
      case 'kill':
        return this.layer.kill(object);
      case 'compare':
        await this.compare();
        return;
      default:
        return this.#setLink(verb ?? '');
    }
  }

  async #change(side: 'above' | 'here', name: string, change: () => Promise<void>): Promise<void> {
    this.#changed[side].set(name, Number.POSITIVE_INFINITY);
    await change();
    this.#changed[side].set(name, Date.now());
  }

  async #setLink(verb: string): Promise<void> {
    if (verb === 'cut' && !this.#isCut) await this.proxy.down();
    if (verb === 'restore' && this.#isCut) await this.proxy.up();
    if (verb === 'cut' || verb === 'restore') this.#isCut = verb === 'cut';
    if (verb === 'refuse' || verb === 'allow') this.#isRefusing = verb === 'refuse';
    if (verb === 'hold') this.#held ??= Promise.withResolvers();
    if (verb !== 'release') return;
    this.#held?.resolve();
    this.#held = undefined;
  }

  figure = async () => syncFigure(await layerStatus(this.layer.bus()), Date.now());

  async #differing(): Promise<[names: string[], above: Tags, here: Tags]> {
    const [above, here] = await Promise.all([readTags(this.cloud.url), readTags(this.layer.host)]);
    const names = [...new Set([...above.keys(), ...here.keys()])].sort();
    return [names.filter((name) => above.get(name) !== here.get(name)), above, here];
  }

  /**
   * "In sync" is a lie if a tag differs that nobody has changed since: above since the time as of which the figure
   * speaks, here since it was read.
   */
  async check(): Promise<void> {
    const readAt = Date.now();
    const figure = await this.figure();
    if (figure?.state !== 'in-sync') return;
    const { asOf = 0 } = figure;
    const [differing, above, here] = await this.#differing();
    const unexcused = differing.filter(
      (name) => (this.#changed.above.get(name) ?? 0) < asOf && (this.#changed.here.get(name) ?? 0) < readAt,
    );
    const shown = unexcused.map((name) => `${name} above ${above.get(name)}, here ${here.get(name)}`);
    assert.deepEqual(shown, [], `in sync as of ${asOf}, read at ${readAt}`);
  }

  /**
   * After a pass over a link that works, the figure names exactly the tags that differ.
   * @returns whether none does: the tag of the loser of a conflict is pushed by the next pass
   */
  async compare(): Promise<boolean> {
    await this.#setLink('restore');
    await this.#setLink('release');
    await this.layer.sync({ full: true });
    let seen = '';
    let isEqual = false;
    const isRight = async () => {
      const lists = await Promise.all(
        REPOSITORIES.map(async (repository) => {
          const query = { repository, limit: 1_000, differing: true };
          const { tags } = await this.layer.bus().call(syncTags, query);
          return tags.map(({ tag }) => `${repository}:${tag}`);
        }),
      );
      const [differing, , here] = await this.#differing();
      const figure = await this.figure();
      seen = JSON.stringify({ lists, differing, figure });
      if (!figure || String(lists.flat()) !== String(differing)) return false;
      const conflicts = [...here.keys()].filter((name) => name.includes('.conflict-')).length;
      if (figure.conflicts !== conflicts) return false;
      isEqual = differing.length === 0;
      const [behind, ahead] = [figure.behind.tags, figure.ahead.tags];
      if (isEqual) return figure.state === 'in-sync' && behind + ahead === 0;
      // A tag that changed on both sides counts as both.
      return Math.max(behind, ahead) <= differing.length && differing.length <= behind + ahead;
    };
    await until(isRight, () => `the figure is right: ${seen}`);
    return isEqual;
  }
}

/** Checks the figure again and again while something runs. @throws what either throws */
async function watched(world: World, work: () => Promise<void>): Promise<void> {
  let running = true;
  const watching = (async () => {
    while (running) {
      await world.check().catch((error) => {
        // While a process is killed, nobody answers.
        if (error instanceof assert.AssertionError) throw error;
      });
      await sleep(20);
    }
  })();
  const ended = work().finally(() => {
    running = false;
  });
  await Promise.all([ended, watching]);
}

test('the figure never calls a layer in sync that is not, and is right within one pass', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const numRuns = process.env.TERRACE_FULL === '1' ? 30 : 1;
  const property = fc.asyncProperty(
    fc.array(Step, { minLength: 25, maxLength: 25, size: 'max' }),
    async (steps) => {
      await using cloud = await startCloud();
      await using proxy = await startProxy(cloud.url);
      await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], mode: 'ReadWrite' });
      const world = new World(cloud, proxy, layer);
      try {
        await watched(world, async () => {
          for (const step of steps) await world.run(step);
          await world.run({ kind: 'allow', repository: '', tag: '' });
          let passes = 1;
          for (; passes <= MAX_PASSES && !(await world.compare()); passes += 1);
          assert.ok(passes <= MAX_PASSES, 'the layer is in sync at last');
        });
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${world.log.join('\n')}`, { cause: error });
      }
    },
  );
  // A live system is not shrunk: each attempt would be another history.
  await fc.assert(property, { seed, numRuns, endOnFailure: true });
});

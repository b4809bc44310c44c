import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { Registry } from './model.ts';
import { type ModelLayer, modelPass } from './model-pass.ts';

/**
 * Layers in a chain and a fork below a cloud; clients change all of them while passes are under way, fail in the
 * middle and see what is no longer so. Whatever the history: once it is quiet, all agree and nothing is lost.
 */
const digestOf = (text: string): Digest => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const TAGS = ['a', 'b', 'c'];
const CRASH = new Error('killed');

const Rules = fc.record({
  mode: fc.constantFrom('ReadWrite' as const, 'ReadWrite' as const, 'ReadOnly' as const),
  conflict: fc.constantFrom('parent-wins' as const, 'layer-wins' as const),
});
/** Of each layer but the first the index of its parent: 0 is the cloud. */
const Shape = fc.record({
  exactCloud: fc.boolean(),
  rules: fc.tuple(Rules, Rules, Rules, Rules),
  parents: fc.constantFrom([0, 1, 2], [0, 1, 1], [0, 1, 1, 3], [0, 0, 1]),
});

class World {
  readonly cloud: Registry;
  readonly layers: ModelLayer[] = [];
  readonly acknowledged = new Set<Digest>();
  readonly deleted = new Set<Digest>();
  readonly busy = new Set<ModelLayer>();
  readonly #tape: number[];
  readonly #said: string[] = [];
  #serial = 0;

  constructor(
    { exactCloud, rules, parents }: typeof Shape extends fc.Arbitrary<infer S> ? S : never,
    tape: number[],
  ) {
    this.cloud = new Registry('cloud', exactCloud);
    this.#tape = [...tape];
    const all = [this.cloud];
    for (const [at, parent] of parents.entries()) {
      const here = new Registry(`l${at + 1}`, true);
      const above = this.layers[parent - 1];
      const mode = above?.mode === 'ReadOnly' ? 'ReadOnly' : rules[at]!.mode;
      this.layers.push({ here, parent: all[parent]!, ...rules[at]!, mode });
      all.push(here);
    }
  }

  get story(): string {
    return this.#said.join('\n');
  }

  get open(): boolean {
    return this.#tape.length > 0;
  }

  #next(below: number): number {
    return (this.#tape.shift() ?? 0) % below;
  }

  /** Between two steps of a pass. With nothing left on the tape, nothing happens. */
  point = async (): Promise<void> => {
    if (!this.open) return;
    const die = this.#next(16);
    if (die === 15) throw CRASH;
    if (die >= 11) await this.act();
  };

  async act(): Promise<void> {
    if (this.#next(3) === 0) return this.pass(this.layers[this.#next(this.layers.length)]!);
    const places = [
      this.cloud,
      ...this.layers.flatMap(({ here, mode }) => (mode === 'ReadWrite' ? [here] : [])),
    ];
    const place = places[this.#next(places.length)]!;
    const names = [...TAGS, ...place.tags.keys()];
    const tag = names[this.#next(names.length)]!;
    const digest = place.tags.get(tag);
    switch (this.#next(6)) {
      case 4:
        this.#said.push(`${place.name}: untag ${tag}`);
        return place.untag(tag);
      case 5:
        if (digest) this.#delete(place, digest);
        return;
      default:
        this.#push(place, tag);
    }
  }

  async pass(layer: ModelLayer, scope?: Set<Tag>): Promise<void> {
    if (this.busy.has(layer)) return;
    this.busy.add(layer);
    this.#said.push(`${layer.here.name}: pass begins`);
    try {
      await modelPass(
        layer,
        this.point,
        scope ?? (this.open && this.#next(4) === 0 ? new Set(TAGS) : undefined),
      );
      this.#said.push(`${layer.here.name}: pass ended`);
    } catch (error) {
      if (error !== CRASH) throw error;
      this.#said.push(`${layer.here.name}: killed`);
    } finally {
      this.busy.delete(layer);
    }
  }

  #push(place: Registry, tag: Tag): void {
    this.#serial += 1;
    const old = [...place.manifests];
    const reuse = this.#next(4) === 0 && old.length > 0;
    const digest = reuse ? old[this.#next(old.length)]! : digestOf(`content ${this.#serial}`);
    this.#said.push(`${place.name}: ${tag} = ${digest.slice(7, 11)}`);
    place.put(digest);
    place.tag(tag, digest);
    this.acknowledged.add(digest);
  }

  #delete(place: Registry, digest: Digest): void {
    this.#said.push(`${place.name}: delete ${digest.slice(7, 11)}`);
    place.remove(digest);
    this.deleted.add(digest);
  }

  get changes(): number {
    return [this.cloud, ...this.layers.map(({ here }) => here)].reduce(
      (sum, { changes }) => sum + changes,
      0,
    );
  }
}

const tagsOf = ({ tags }: Registry) => Object.fromEntries([...tags].sort(([a], [b]) => (a < b ? -1 : 1)));

async function quiet(world: World): Promise<void> {
  const { cloud, layers } = world;
  const places = layers.map(({ here }) => here).concat(cloud);
  let moved = -1;
  let rounds = 0;
  for (; moved !== world.changes; rounds += 1) {
    moved = world.changes;
    assert.ok(rounds < 12, 'no end of changes');
    // From the top and from the bottom, so that neither order is the one that matters.
    for (const layer of rounds % 2 ? layers : layers.toReversed()) await world.pass(layer);
  }
  for (const { here, parent, mode } of layers) {
    const above = mode === 'ReadOnly' ? parent : cloud;
    assert.deepEqual(tagsOf(here), tagsOf(above), `${here.name} (${mode}) is not as ${above.name}`);
    assert.deepEqual(
      [...here.unsent, ...here.withdrawn],
      mode === 'ReadOnly' ? [...here.unsent, ...here.withdrawn] : [],
    );
  }
  for (const digest of world.acknowledged) {
    if (!world.deleted.has(digest)) assert.ok(cloud.manifests.has(digest), `${digest.slice(7, 11)} is lost`);
  }
  for (const { tags } of places) {
    for (const tag of tags.keys()) assert.doesNotMatch(tag, /conflict.*conflict/);
  }
}

test('whatever clients, kills and lost passes did: all layers agree in the end, and no content is lost', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const numRuns = process.env.TERRACE_FULL === '1' ? 5_000 : 600;
  const property = fc.asyncProperty(
    Shape,
    fc.array(fc.nat(2 ** 20), { minLength: 5, maxLength: 300, size: 'max' }),
    async (shape, tape) => {
      const world = new World(shape, tape);
      while (world.open) await world.act();
      try {
        await quiet(world);
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${world.story}`, { cause: error });
      }
    },
  );
  await fc.assert(property, { seed, numRuns });
});

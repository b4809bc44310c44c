import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { Registry } from './model.ts';
import { type ModelLayer, modelPass } from './model-pass.ts';

/**
 * Layers in chains and forks below a cloud. Clients change all of them while passes run, are killed, and act on stale
 * views. After any such history, passes reach a state in which all layers agree, and no content is lost. A tag that the
 * clients of one registry change, and no others, is what they made it last: deleted too.
 */
const digestOf = (text: string): Digest => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const TAGS = ['a', 'b', 'c'];
const CRASH = new Error('killed');

const Rules = fc.record({
  mode: fc.constantFrom('ReadWrite' as const, 'ReadWrite' as const, 'ReadOnly' as const),
  conflict: fc.constantFrom('parent-wins' as const, 'layer-wins' as const),
});
/** `parents`: the index of the parent of each layer; 0 is the cloud. */
const Shape = fc.record({
  /** Whether the clients of each registry have tags of their own. */
  ownTags: fc.boolean(),
  exactCloud: fc.boolean(),
  rules: fc.tuple(Rules, Rules, Rules, Rules),
  parents: fc.constantFrom([0, 1, 2], [0, 1, 1], [0, 1, 1, 3], [0, 0, 1]),
});

/** What clients did with a tag: in which registries, which content it had, and its target after the last change. */
type Owned = { by: Set<Registry>; digests: Set<Digest>; last: Digest | undefined };

class World {
  readonly cloud: Registry;
  readonly owned = new Map<Tag, Owned>();
  readonly deletedBy = new Map<Digest, Set<Registry>>();
  readonly layers: ModelLayer[] = [];
  readonly acknowledged = new Set<Digest>();
  readonly deleted = new Set<Digest>();
  readonly busy = new Set<string>();
  readonly #ownTags: boolean;
  readonly #tape: number[];
  readonly #log: string[] = [];
  #serial = 0;

  constructor(
    { ownTags, exactCloud, rules, parents }: typeof Shape extends fc.Arbitrary<infer S> ? S : never,
    tape: number[],
  ) {
    this.cloud = new Registry('cloud', exactCloud);
    this.#ownTags = ownTags;
    this.#tape = [...tape];
    const all = [this.cloud];
    for (const [at, parent] of parents.entries()) {
      const local = new Registry(`l${at + 1}`, true);
      const parentLayer = this.layers[parent - 1];
      const mode = parentLayer?.mode === 'ReadOnly' ? 'ReadOnly' : rules[at]!.mode;
      this.layers.push({ local, parent: all[parent]!, ...rules[at]!, mode });
      all.push(local);
    }
  }

  get history(): string {
    return this.#log.join('\n');
  }

  get hasSteps(): boolean {
    return this.#tape.length > 0;
  }

  #next(below: number): number {
    return (this.#tape.shift() ?? 0) % below;
  }

  /** Runs between two steps of a pass. At the end of the tape, nothing happens. */
  interleave = async (): Promise<void> => {
    if (!this.hasSteps) return;
    const roll = this.#next(16);
    if (roll === 15) throw CRASH;
    if (roll >= 11) await this.act();
  };

  async act(): Promise<void> {
    if (this.#next(3) === 0) return this.pass(this.layers[this.#next(this.layers.length)]!);
    const registries = [
      this.cloud,
      ...this.layers.flatMap(({ local, mode }) => (mode === 'ReadWrite' ? [local] : [])),
    ];
    const registry = registries[this.#next(registries.length)]!;
    const names = this.#ownTags
      ? TAGS.map((tag) => `${tag}-${registry.name}`)
      : [...TAGS, ...registry.tags.keys()];
    const tag = names[this.#next(names.length)]!;
    const digest = registry.tags.get(tag);
    switch (this.#next(6)) {
      case 4:
        this.#log.push(`${registry.name}: untag ${tag}`);
        this.#own(registry, tag, undefined);
        return registry.untag(tag);
      case 5:
        if (digest) this.#delete(registry, digest);
        return;
      default:
        this.#push(registry, tag);
    }
  }

  /** Of each layer, one scoped and one unscoped pass may run at a time. */
  async pass(layer: ModelLayer, wanted?: Set<Tag>): Promise<void> {
    const { tags, bases } = layer.local;
    const scope =
      wanted ??
      (this.hasSteps && this.#next(3) === 0 ? new Set([...tags.keys(), ...bases.keys()]) : undefined);
    const lane = `${layer.local.name} ${scope ? 'scoped' : 'unscoped'}`;
    if (this.busy.has(lane)) return;
    this.busy.add(lane);
    this.#log.push(`${lane}: pass begins`);
    try {
      await modelPass(layer, this.interleave, scope);
      this.#log.push(`${lane}: pass ended`);
    } catch (error) {
      if (error !== CRASH) throw error;
      this.#log.push(`${lane}: killed`);
    } finally {
      this.busy.delete(lane);
    }
  }

  #push(registry: Registry, tag: Tag): void {
    this.#serial += 1;
    // Clients know no placeholders of layers, which are deleted again.
    const old = [...registry.manifests].filter((digest) => this.acknowledged.has(digest));
    const reuse = this.#next(4) === 0 && old.length > 0;
    const digest = reuse ? old[this.#next(old.length)]! : digestOf(`content ${this.#serial}`);
    this.#log.push(`${registry.name}: ${tag} = ${digest.slice(7, 11)}`);
    registry.put(digest);
    registry.tag(tag, digest);
    this.acknowledged.add(digest);
    this.#own(registry, tag, digest);
  }

  #own(registry: Registry, tag: Tag, digest: Digest | undefined): void {
    const owned = this.owned.get(tag) ?? { by: new Set(), digests: new Set(), last: undefined };
    this.owned.set(tag, owned);
    owned.by.add(registry);
    if (digest) owned.digests.add(digest);
    owned.last = digest;
  }

  #delete(registry: Registry, digest: Digest): void {
    this.#log.push(`${registry.name}: delete ${digest.slice(7, 11)}`);
    for (const [tag, target] of registry.tags) if (target === digest) this.#own(registry, tag, undefined);
    registry.remove(digest);
    this.deleted.add(digest);
    const by = this.deletedBy.get(digest) ?? new Set();
    this.deletedBy.set(digest, by.add(registry));
  }

  /** Tags that clients changed in one registry only, with their target after the last change there. */
  get singlyOwned(): Map<Tag, Digest | undefined> {
    const tags = new Map<Tag, Digest | undefined>();
    for (const [tag, { by, digests, last }] of this.owned) {
      const [only] = by;
      const isOther = (registry: Registry) => registry !== only;
      if (by.size > 1 || tag.includes('conflict')) continue;
      if ([...digests].some((digest) => [...(this.deletedBy.get(digest) ?? [])].some(isOther))) continue;
      // Without deletion of tags, content is deleted with all tags that it has.
      const isShared = (digest: Digest) =>
        [...this.owned].some(([other, { digests }]) => other !== tag && digests.has(digest));
      if (!this.cloud.exact && [...digests].some(isShared)) continue;
      tags.set(tag, last);
    }
    return tags;
  }

  get changes(): number {
    return [this.cloud, ...this.layers.map(({ local }) => local)].reduce(
      (sum, { changes }) => sum + changes,
      0,
    );
  }
}

const tagsOf = ({ tags }: Registry) => Object.fromEntries([...tags].sort(([a], [b]) => (a < b ? -1 : 1)));

async function settle(world: World): Promise<void> {
  const { cloud, layers } = world;
  const registries = layers.map(({ local }) => local).concat(cloud);
  let changes = -1;
  let rounds = 0;
  for (; changes !== world.changes; rounds += 1) {
    changes = world.changes;
    assert.ok(rounds < 12, 'the changes do not end');
    // From the top and from the bottom in turn, so that the result depends on neither order.
    for (const layer of rounds % 2 ? layers : layers.toReversed()) await world.pass(layer);
  }
  for (const { local, parent, mode } of layers) {
    const reference = mode === 'ReadOnly' ? parent : cloud;
    assert.deepEqual(
      tagsOf(local),
      tagsOf(reference),
      `${local.name} (${mode}) differs from ${reference.name}`,
    );
    assert.deepEqual(
      [...local.unsent, ...local.withdrawn],
      mode === 'ReadOnly' ? [...local.unsent, ...local.withdrawn] : [],
    );
  }
  for (const digest of world.acknowledged) {
    if (!world.deleted.has(digest)) assert.ok(cloud.manifests.has(digest), `${digest.slice(7, 11)} is lost`);
  }
  for (const [tag, last] of world.singlyOwned) {
    assert.equal(cloud.tags.get(tag), last, `${tag} is not what its only clients made it last`);
  }
  for (const { tags } of registries) {
    for (const tag of tags.keys()) assert.doesNotMatch(tag, /conflict.*conflict/);
  }
}

test('after any history of client changes and killed passes, all layers agree, and no content and no change is lost', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const numRuns = process.env.TERRACE_FULL === '1' ? 5_000 : 600;
  const property = fc.asyncProperty(
    Shape,
    fc.array(fc.nat(2 ** 20), { minLength: 5, maxLength: 300, size: 'max' }),
    async (shape, tape) => {
      const world = new World(shape, tape);
      while (world.hasSteps) await world.act();
      try {
        await settle(world);
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${world.history}`, { cause: error });
      }
    },
  );
  await fc.assert(property, { seed, numRuns });
});

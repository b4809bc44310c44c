import assert from 'node:assert/strict';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import type { ScriptedRegistry } from '../../support/registry/scripted/scripted-registry.ts';
import { random } from '../../support/time/random.ts';
import type { SyncerRig } from '../syncer-rig.ts';
import { serves } from './parent-rig.ts';
import { drawQuirks } from './random-quirks.ts';

/**
 * A parent that draws its quirks at random and changes them, while its images come and go. TERRACE_SOAK_MINUTES sets
 * how long, TERRACE_SOAK_SEED what is drawn.
 */

const MAX_TAGS = 12;
/** Max images that are pushed below. */
const MAX_PUSHED = 40;

export const seed = Number(process.env.TERRACE_SOAK_SEED ?? 15);
const minutes = Number(process.env.TERRACE_SOAK_MINUTES ?? 0);

/** The numbers of the rounds: at least `min`, and as many as fit into the time. */
export function* rounds(min: number): Generator<number> {
  const end = performance.now() + minutes * 60_000;
  for (let round = 0; round < min || performance.now() < end; round += 1) yield round;
}

export class ChangingParent {
  readonly registry: ScriptedRegistry;
  readonly #random = random(seed);
  #changes = 0;

  constructor(registry: ScriptedRegistry) {
    this.registry = registry;
  }

  /** Changes the content of the parent, and draws its quirks. @returns their names */
  nextRound(): string[] {
    for (let changes = 0; changes < 3; changes += 1) this.#change();
    this.registry.requests.length = 0;
    const { names, quirk } = drawQuirks(this.#random);
    this.registry.quirk = quirk;
    return names;
  }

  /** Size of a layer to push in this round, in bytes; undefined in most rounds. */
  sizeToPush(round: number): number | undefined {
    return round % 4 === 0 && round < 4 * MAX_PUSHED ? Math.floor(this.#random() * 1_000_000) : undefined;
  }

  /** An image, an index or a referrer more, or content less. */
  #change(): void {
    const { content } = this.registry;
    const { tags, manifests, blobs } = content.of('app');
    const name = `t${this.#changes++}`;
    const layers = [`layer ${name}`, `second layer ${name} ${'x'.repeat(this.#upTo(300_000))}`];
    const kind = this.#upTo(6);
    if (kind === 0) content.image('app', name, { layers });
    else if (kind === 1) {
      const platforms = ['amd64', 'arm64'].map((one) =>
        on(one, content.image('app', undefined, { layers: [one, name] })),
      );
      content.index('app', name, platforms);
    } else if (kind === 2) {
      const target = this.#pick([...tags.values()]);
      const found = target && manifests.get(target);
      if (found) {
        const subject = { mediaType: found.mediaType, digest: target, size: found.bytes.length };
        const artifactType = 'application/vnd.example.note';
        content.image('app', undefined, { subject, artifactType, layers: [name] });
      }
    } else if (kind === 3) {
      const untagged = [...manifests.keys()].filter((digest) => ![...tags.values()].includes(digest));
      manifests.delete(this.#pick(untagged) ?? '');
    } else if (kind === 4) blobs.delete(this.#pick([...blobs.keys()]) ?? '');
    else if (tags.size > MAX_TAGS / 2) tags.delete(this.#pick([...tags.keys()]) ?? '');
    while (tags.size > MAX_TAGS) tags.delete([...tags.keys()][0] as string);
  }

  #upTo(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#upTo(list.length)];
  }

  /**
   * Asserts that each tag of the parent is in the layer with all its content, or that the layer's pass reports what is
   * missing. `isExpected`: whether the layer's own parent has the tag.
   */
  async assertHereOrReported(
    layer: SyncerRig,
    { failures, failed, leftOut }: PassResult,
    about: string,
    isExpected: (tag: string, digest: string) => boolean | Promise<boolean> = () => true,
  ): Promise<void> {
    const text = JSON.stringify({ failures, leftOut });
    for (const [tag, digest] of this.registry.content.of('app').tags) {
      if (!(await isExpected(tag, digest))) continue;
      const isFailure =
        failures.some((one) => one.tag === tag || one.tag === undefined) || failed > failures.length;
      if (!(await hasTag(layer, tag, digest))) {
        assert.ok(isFailure, `${tag} is not here and nothing says so: ${about} ${text}`);
        continue;
      }
      const lacked = await this.#lackedOf(layer, digest);
      const isLeftOut = leftOut?.first.some(
        (one) => one.repository === 'app' && [tag, digest, undefined].includes(one.tag),
      );
      const isCut = (leftOut?.referrers ?? 0) + (leftOut?.children ?? 0) > (leftOut?.first.length ?? 0);
      assert.ok(
        lacked.length === 0 || isFailure || isLeftOut || isCut,
        `${tag} lacks ${lacked} and nothing says so: ${about} ${text}`,
      );
    }
  }

  /** What the layer lacks of an image that the parent still has: digests. */
  async #lackedOf(layer: SyncerRig, root: string): Promise<string[]> {
    const { content } = this.registry;
    const { manifests } = content.of('app');
    const lacked: string[] = [];
    const visit = async (digest: string): Promise<void> => {
      const found = manifests.get(digest);
      if (!(await serves(layer, { mediaType: '', digest, size: 0 }))) lacked.push(digest);
      if (!found) return;
      const document = JSON.parse(found.bytes.toString());
      for (const blob of [document.config, ...(document.layers ?? [])]) {
        if (blob && !(await serves(layer, blob))) lacked.push(digest);
      }
      for (const child of document.manifests ?? []) await visit(child.digest);
      for (const referrer of content.referrers('app', digest)) await visit(referrer.digest);
    };
    await visit(root);
    return lacked;
  }
}

/** Whether the tag of `app` points to the manifest in the layer. */
export async function hasTag(layer: SyncerRig, tag: string, digest: string): Promise<boolean> {
  const answer = await fetch(`${layer.layer.url}/v2/app/manifests/${tag}`, { method: 'HEAD' });
  return answer.headers.get('docker-content-digest') === digest;
}

/** Asserts that nothing failed but images that the parent lacks a part of. */
export function assertOnlyMissing({ failed, failures }: PassResult): void {
  const missing = failures.filter(({ code }) => code === 'blob-unknown' || code === 'manifest-unknown');
  assert.equal(failed, missing.length);
}

const on = (architecture: string, descriptor: Descriptor) => ({
  ...descriptor,
  platform: { os: 'linux', architecture },
});

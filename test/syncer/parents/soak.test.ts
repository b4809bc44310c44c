import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { pushImage } from '../../support/registry/image.ts';
import {
  type ScriptedRegistry,
  scriptedRegistry,
} from '../../support/registry/scripted/scripted-registry.ts';
import { random } from '../../support/time/random.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';
import { serves } from './parent-rig.ts';
import { drawQuirks } from './random-quirks.ts';

/**
 * A parent that draws its quirks at random and changes them, while images come and go at both sides. After each pass,
 * everything that is selected is in the layer, or the pass reports what is not. TERRACE_SOAK_MINUTES sets how long.
 */

const minutes = Number(process.env.TERRACE_SOAK_MINUTES ?? 0);
const MIN_ROUNDS = process.env.TERRACE_FULL === '1' ? 100 : 8;
const seed = Number(process.env.TERRACE_SOAK_SEED ?? 15);
const MAX_TAGS = 12;

let layer: SyncerRig;
let registry: ScriptedRegistry;
before(async () => {
  registry = await scriptedRegistry();
  layer = await SyncerRig.start('http://127.0.0.1:1', {});
});
after(async () => {
  await layer?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

const chance = random(seed);
const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(chance() * list.length)];
const on = (architecture: string, descriptor: Descriptor) => ({
  ...descriptor,
  platform: { os: 'linux', architecture },
});

/** Changes the parent: an image, an index or a referrer more, or content less. */
function changeParent(round: number): void {
  const { content } = registry;
  const { tags, manifests, blobs } = content.of('app');
  const name = `t${round}`;
  const layers = [`layer ${round}`, `second layer ${round} ${'x'.repeat(Math.floor(chance() * 300_000))}`];
  const kind = Math.floor(chance() * 6);
  if (kind === 0) content.image('app', name, { layers });
  else if (kind === 1) {
    const platforms = ['amd64', 'arm64'].map((one) =>
      on(one, content.image('app', undefined, { layers: [one, name] })),
    );
    content.index('app', name, platforms);
  } else if (kind === 2) {
    const target = pick([...tags.values()]);
    const found = target && manifests.get(target);
    if (found) {
      const subject = { mediaType: found.mediaType, digest: target, size: found.bytes.length };
      content.image('app', undefined, {
        subject,
        artifactType: 'application/vnd.example.note',
        layers: [name],
      });
    }
  } else if (kind === 3) {
    const untagged = [...manifests.keys()].filter((digest) => ![...tags.values()].includes(digest));
    manifests.delete(pick(untagged) ?? '');
  } else if (kind === 4) blobs.delete(pick([...blobs.keys()]) ?? '');
  else if (tags.size > MAX_TAGS / 2) tags.delete(pick([...tags.keys()]) ?? '');
  while (tags.size > MAX_TAGS) tags.delete([...tags.keys()][0] as string);
}

/** What the layer lacks of an image that the parent still has: digests. */
async function lackedOf(digest: string): Promise<string[]> {
  const { manifests } = registry.content.of('app');
  const lacked: string[] = [];
  const visit = async (one: string): Promise<void> => {
    const found = manifests.get(one);
    const descriptor = { mediaType: '', digest: one, size: 0 };
    if (!(await serves(layer, descriptor))) lacked.push(one);
    if (!found) return;
    const document = JSON.parse(found.bytes.toString());
    for (const blob of [document.config, ...(document.layers ?? [])]) {
      if (blob && !(await serves(layer, blob))) lacked.push(one);
    }
    for (const child of document.manifests ?? []) await visit(child.digest);
    for (const referrer of registry.content.referrers('app', one)) await visit(referrer.digest);
  };
  await visit(digest);
  return lacked;
}

/** Asserts that each tag of the parent is here with all its content, or that the pass reports what is missing. */
async function assertHereOrReported({ failures, failed, leftOut }: PassResult, about: string): Promise<void> {
  const text = JSON.stringify({ failures, leftOut });
  for (const [tag, digest] of registry.content.of('app').tags) {
    const answer = await fetch(`${layer.layer.url}/v2/app/manifests/${tag}`, { method: 'HEAD' });
    const isFailure =
      failures.some((one) => one.tag === tag || one.tag === undefined) || failed > failures.length;
    if (answer.headers.get('docker-content-digest') !== digest) {
      assert.ok(isFailure, `${tag} is not here and nothing says so: ${about} ${text}`);
      continue;
    }
    const lacked = await lackedOf(digest);
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

test('under changing quirks, everything that is selected is here or reported', async (t) => {
  await layer.configureWith({
    parent: { url: registry.url },
    repositories: ['app', 'pushed'],
    mode: 'ReadWrite',
    schedule: '0 0 1 1 *',
  });
  await until(() => registry.requests.length > 0, 'the parent is asked');
  const end = Date.now() + minutes * 60_000;
  const pushed: string[] = [];
  let round = 0;
  for (; round < MIN_ROUNDS || Date.now() < end; round += 1) {
    for (let changes = 0; changes < 3; changes += 1) changeParent(round * 3 + changes);
    registry.requests.length = 0;
    const { names, quirk } = drawQuirks(chance);
    registry.quirk = quirk;
    if (round % 4 === 0 && pushed.length < 40) {
      const size = Math.floor(chance() * 1_000_000);
      pushed.push((await pushImage(layer.layer.url, 'pushed', `p${round}`, { layers: [size] })).digest);
    }
    const pass = await layer.pass();
    await assertHereOrReported(pass, `round ${round}, ${names.join(', ')}`);
  }
  registry.quirk = undefined;
  await layer.pass({ full: true });
  const last = await layer.pass({ full: true });
  await assertHereOrReported(last, 'the end');
  assert.equal(
    last.failed,
    last.failures.filter(({ code }) => code === 'blob-unknown' || code === 'manifest-unknown').length,
  );
  const { manifests } = registry.content.of('pushed');
  for (const digest of pushed)
    assert.ok(manifests.has(digest), `the parent lacks ${digest}, which was pushed`);
  t.diagnostic(`${round} rounds, seed ${seed}`);
});

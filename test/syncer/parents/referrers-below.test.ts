import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { CONTENT_LEFT_OUT } from '#proto/status/status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import {
  refused,
  type ScriptedRegistry,
  scriptedRegistry,
} from '../../support/registry/scripted/scripted-registry.ts';
import { until } from '../../support/until.ts';
import { SyncerRig } from '../syncer-rig.ts';
import { serves } from './parent-rig.ts';

/** Layers below a layer whose own parent lacks referrers: each reports what the layers above had to leave out. */

const NOTE = 'application/vnd.example.note';
const layers: SyncerRig[] = [];
const configured = new Map<SyncerRig, Overrides>();
before(async () => {
  for (const _ of ['upper', 'middle', 'lower'])
    layers.push(await SyncerRig.start('http://127.0.0.1:1', {}, ['one']));
});
after(async () => {
  for (const layer of layers.toReversed()) await layer[Symbol.asyncDispose]();
});

/** Brings the repository `app` from the registry through the layers. @returns the result of each, from the top */
async function cascade(
  { url, requests }: ScriptedRegistry,
  fields: Overrides['repositories'][] = [],
): Promise<PassResult[]> {
  const common = { mode: 'ReadOnly' as const, schedule: '0 0 1 1 *' };
  const results: PassResult[] = [];
  let parent = url;
  for (const [at, layer] of layers.entries()) {
    const document = { ...common, parent: { url: parent }, repositories: fields[at] ?? ['app'] };
    // Only a changed configuration causes a pass.
    const isChanged = !isDeepStrictEqual(configured.get(layer), document);
    configured.set(layer, document);
    if (at === 0) {
      await layer.configureWith(document);
      await until(() => requests.length > 0, 'the parent is asked');
    } else if (isChanged) await layer.reconfigureWith(document);
    results.push(await layer.pass({ full: true }));
    parent = layer.layer.url;
  }
  return results;
}

/** A pass of each layer, from the top, as after a change at the parent. @param full of the topmost layer */
async function passes(full = false): Promise<PassResult[]> {
  const results: PassResult[] = [];
  for (const [at, layer] of layers.entries()) results.push(await layer.pass({ full: full && at === 0 }));
  return results;
}

const counts = (results: PassResult[]) => results.map(({ ok, leftOut }) => [ok, leftOut?.referrers ?? 0]);
const [bad, good] = [
  [false, 1],
  [true, 0],
];

test('a referrer that the parent lacks is reported by all layers below, until it comes', async () => {
  await using registry = await scriptedRegistry();
  const { content } = registry;
  const image = content.image('app', 't');
  const note = content.image('app', undefined, { subject: image, artifactType: NOTE });
  registry.quirk = ({ path }) => (path.includes(`/manifests/${note.digest}`) ? refused(404, '') : undefined);
  assert.deepEqual(counts(await cascade(registry)), [bad, bad, bad]);
  for (const layer of layers.slice(1)) {
    assert.ok(await serves(layer, image));
    const link = await layer.link();
    assert.deepEqual([link?.state, link?.code], ['Online', CONTENT_LEFT_OUT]);
    const about =
      'app:t: missing at a layer above: the parent has no manifest sha256:[0-9a-f]+ in app: push it';
    assert.match(
      link?.detail ?? '',
      new RegExp(`0 of 1 image is complete; left out: 1 referrer \\(${about}`),
    );
    assert.equal(link?.detail?.split('push it').length, 2, 'one remedy');
    const [first] = link?.leftOut?.first ?? [];
    assert.deepEqual(
      [first?.kind, first?.digest, first?.subject, first?.artifactType, first?.code],
      ['referrer', note.digest, image.digest, NOTE, 'manifest-unknown'],
    );
  }
  assert.deepEqual(counts(await passes()), [bad, bad, bad], 'nothing has changed');
  registry.quirk = undefined;
  assert.deepEqual(counts(await passes(true)), [good, good, good]);
  for (const layer of layers) assert.ok(await serves(layer, note));
});

test('a referrer that the parent loses, or refuses to list, is reported below without another change', async () => {
  await using registry = await scriptedRegistry();
  const { content } = registry;
  const image = content.image('app', 't');
  assert.deepEqual(counts(await cascade(registry)), [good, good, good]);
  registry.quirk = ({ path }) =>
    path.includes(`/referrers/${image.digest}`) ? refused(500, 'UNKNOWN') : undefined;
  assert.deepEqual(counts(await passes()), [bad, bad, bad]);
  const link = await layers[2]?.link();
  assert.match(link?.detail ?? '', /missing at a layer above: GET .*referrers/);
  registry.quirk = undefined;
  assert.deepEqual(counts(await passes()), [good, good, good]);
});

test('lists of a repository that are hidden above are reported below, once, until they can be read', async () => {
  await using registry = await scriptedRegistry();
  const { content } = registry;
  const images = ['a', 'b', 'c'].map((tag) => content.image('app', tag));
  const note = content.image('app', undefined, { subject: images[0], artifactType: NOTE });
  const hide = () => {
    registry.quirk = ({ path }) => (path.includes('/referrers/') ? refused(403, 'DENIED') : undefined);
  };
  hide();
  assert.deepEqual(counts(await cascade(registry)), [bad, bad, bad]);
  for (const layer of layers.slice(1)) {
    const link = await layer.link();
    assert.match(link?.detail ?? '', /0 of . images are complete; left out: 1 referrer \(app: missing at/);
  }
  registry.quirk = undefined;
  const [upper, ...below] = layers;
  // The layer asks for hidden lists after a while, or at once in a full pass.
  assert.equal((await upper?.pass({ full: true }))?.ok, true);
  for (const layer of below) {
    assert.deepEqual(counts([await layer.pass()]), [good]);
    assert.ok(await serves(layer, note));
  }
  hide();
  assert.deepEqual(counts(await passes()), [bad, bad, bad]);
});

test('a layer does not report what it would not have pulled', async () => {
  await using registry = await scriptedRegistry();
  const { content } = registry;
  const image = content.image('app', 't');
  const note = content.image('app', undefined, { subject: image, artifactType: NOTE });
  registry.quirk = ({ path }) => (path.includes(`/manifests/${note.digest}`) ? refused(404, '') : undefined);
  const selecting = (referrers: boolean | string[]) => [{ name: 'app', referrers }];
  const other = selecting(['application/vnd.example.other']);
  assert.deepEqual(counts(await cascade(registry, [['app'], other, selecting(false)])), [bad, good, good]);
  // What is excluded on purpose is not missing.
  assert.deepEqual(counts(await cascade(registry, [selecting(false), ['app'], ['app']])), [good, good, good]);
});

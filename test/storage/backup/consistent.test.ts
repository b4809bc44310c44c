import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { deleteManifest } from '#proto/content/manifests.ts';
import { restoreBackup } from '../../../services/storage/backup/restore/restore.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { sharedFolder } from '../../support/shared-folder.ts';
import { random } from '../../support/time/random.ts';
import { digestOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** Backups while clients push, move and delete and garbage is collected: each shows the layer at one instant. */

const buses = await sharedBuses();
const root = sharedFolder('consistent');

const ROUNDS = process.env.TERRACE_FULL === '1' ? 40 : 3;
const HOUR = 3_600_000;

/** Tags of a restored volume. Everything that its records name is there, with the right bytes. */
async function soundTags(data: string): Promise<Record<string, string>> {
  await using metadata = await Metadata.open(join(data, 'metadata'));
  await using snapshot = metadata.readerNow();
  const all = new Map<string, string>();
  for await (const [key, json] of snapshot.texts()) all.set(key, json);
  const tags: Record<string, string> = {};
  for (const [key, json] of all) {
    const [kind, first = '', second = ''] = key.split('!');
    if (kind === 'b') {
      const bytes = await readFile(join(data, 'blobs/sha256', first.slice(7, 9), first.slice(7)));
      assert.equal(digestOf(bytes), first);
    }
    if (kind === 'l' || kind === 'm') assert.ok(all.has(`b!${second}`), key);
    if (kind === 't') {
      const digest = JSON.parse(json) as string;
      assert.ok(all.has(`m!${first}!${digest}`), key);
      const file = join(data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));
      const { layers } = JSON.parse(await readFile(file, 'utf8')) as { layers: { digest: string }[] };
      for (const layer of layers) assert.ok(all.has(`l!${first}!${layer.digest}`), `${key}: ${layer.digest}`);
      tags[`${first}:${second}`] = digest;
    }
  }
  return tags;
}

const sorted = (tags: Record<string, string>) => JSON.stringify(Object.entries(tags).sort());

test('a backup shows the layer at one instant between its begin and its end', async (t) => {
  const seed = Number(process.env.TERRACE_SEED ?? Date.now() % 100_000);
  t.diagnostic(`TERRACE_SEED=${seed}`);
  const next = random(seed);
  const below = (limit: number) => Math.floor(next() * limit);
  await using rig = await Rig.open(buses);
  rig.now += HOUR;
  const target = join(root, 'b');
  const tags: Record<string, string> = {};
  let states: string[] = [];
  const change = async () => {
    const dice = next();
    const repository = `app/${below(3)}`;
    if (dice < 0.6) {
      const tag = `v${below(4)}`;
      const digest = await rig.gateway.pushImage(repository, `layer ${below(12)}`, { tag });
      tags[`${repository}:${tag}`] = digest;
    } else if (dice < 0.85) {
      const [name, digest] = Object.entries(tags)[below(Object.keys(tags).length)] ?? [];
      if (name === undefined || digest === undefined) return;
      const of = name.slice(0, name.indexOf(':'));
      await rig.gateway.call(deleteManifest, { repository: of, digest });
      for (const [one, to] of Object.entries(tags))
        if (to === digest && one.startsWith(`${of}:`)) delete tags[one];
    } else {
      rig.now += HOUR;
      await rig.storage.garbage.collect(false);
    }
    states.push(sorted(tags));
  };
  for (let i = 0; i < 15; i += 1) await change();
  for (let round = 0; round < ROUNDS; round += 1) {
    states = [sorted(tags)];
    let isOver = false;
    // Slow enough for changes while it copies.
    const running = rig.storage.backups.run({ target, rate: 4_000 }).finally(() => {
      isOver = true;
    });
    while (!isOver) await change();
    const { id } = await running;
    const data = join(root, `restored-${round}`);
    await restoreBackup({ source: target, data, metadataOnly: false }, () => {});
    const restored = sorted(await soundTags(data));
    assert.ok(states.includes(restored), `${id}, round ${round}, shows no state of its time`);
    assert.deepEqual((await rig.storage.scrubber.scrub(1e9)).damaged, []);
  }
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectAll, Rig } from '../rig.ts';
import { TwoSides, tagsOf } from './two-sides.ts';

/** A layer whose data volume is older than what the other side has seen of it. */

/** A copy of the data volume as it is now. */
async function copyOf(rig: Rig): Promise<string> {
  await rig.stop();
  const copy = await mkdtemp(join(tmpdir(), 'terrace-restored-'));
  await cp(rig.data, copy, { recursive: true });
  await rig.start();
  return copy;
}

test('a restored sender begins a new epoch: nothing is taken back without a conflict tag', async () => {
  await using sides = await TwoSides.open();
  const { north, south } = sides;
  await north.gateway.pushImage('app', 'one', { tag: '1' });
  await sides.export();
  await sides.import();
  const copy = await copyOf(north);
  const two = await north.gateway.pushImage('app', 'two', { tag: '1' });
  await sides.export();
  await sides.import();

  const buses = await connectAll();
  const restored = await Rig.open(buses, copy, 'north');
  try {
    restored.now += 1_000;
    const folder = join(sides.folder, 'restored');
    await mkdir(folder);
    const three = await restored.gateway.pushImage('app', 'three', { tag: '3' });
    const { set } = await sides.export({ folder, target: 'south' }, restored);
    assert.deepEqual([set?.number, set?.content], [2, 2], 'what was carried before stays known');
    const { outcome, warnings, tags } = await sides.import({ folder });
    assert.deepEqual([outcome, tags?.conflicts], ['imported', 1]);
    assert.match(warnings.join(), /north was restored, moved or repaired/);
    const after = await tagsOf(south, 'app');
    assert.equal(after['3'], three);
    assert.equal(after[`1.conflict-south-${two.slice(7, 19)}`], two);
    const old = await sides.import();
    assert.equal(old.outcome, 'refused');
    assert.match(old.problems.join(), /it is from before north was restored or replaced/);
  } finally {
    await restored[Symbol.asyncDispose]();
    await buses.server[Symbol.asyncDispose]();
  }
});

test('an epoch is later than the one before it, even if the clock was set back', async () => {
  await using sides = await TwoSides.open();
  const { north, south } = sides;
  await north.gateway.pushImage('app', 'one', { tag: '1' });
  await sides.export();
  await sides.import();
  const copy = await copyOf(north);
  const buses = await connectAll();
  const restored = await Rig.open(buses, copy, 'north');
  try {
    restored.now -= 86_400_000;
    const folder = join(sides.folder, 'restored');
    await mkdir(folder);
    const two = await restored.gateway.pushImage('app', 'two', { tag: '2' });
    await sides.export({ folder, target: 'south' }, restored);
    const { outcome, problems } = await sides.import({ folder });
    assert.equal(outcome, 'imported', problems.join());
    assert.equal((await tagsOf(south, 'app'))['2'], two);
  } finally {
    await restored[Symbol.asyncDispose]();
    await buses.server[Symbol.asyncDispose]();
  }
});

test('another machine of the same name is refused, unless the operator says that it replaced the sender', async () => {
  await using sides = await TwoSides.open();
  await sides.north.gateway.pushImage('app', 'one', { tag: '1' });
  await sides.export();
  await sides.import();
  const buses = await connectAll();
  const other = await Rig.open(buses, undefined, 'north');
  try {
    other.now += 1_000;
    const folder = join(sides.folder, 'other');
    await mkdir(folder);
    await other.gateway.pushImage('app', 'other', { tag: '2' });
    await sides.export({ folder, target: 'south' }, other);
    const refused = await sides.import({ folder });
    assert.match(
      refused.problems.join(),
      /from another data volume than earlier sets of north: .* --new-sender/,
    );
    assert.equal((await sides.import({ folder, newSender: true })).outcome, 'imported');
    assert.deepEqual(Object.keys(await tagsOf(sides.south, 'app')), ['1', '2'], 'nothing is deleted');
  } finally {
    await other[Symbol.asyncDispose]();
    await buses.server[Symbol.asyncDispose]();
  }
});

test('a receiver that was restored gets all content again, once it has sent a set', async () => {
  await using sides = await TwoSides.open();
  const { north } = sides;
  const first = await north.gateway.pushImage('app', 'one', { tag: '1' });
  await sides.export();
  await sides.import();
  const buses = await connectAll();
  const empty = await Rig.open(buses, undefined, 'south');
  const back = join(sides.folder, 'back');
  await mkdir(back);
  try {
    await sides.export({ folder: back }, sides.south);
    await sides.import({ folder: back }, north);
    empty.now += 1_000;
    await sides.export({ folder: back, always: true }, empty);
    const taken = await sides.import({ folder: back, newSender: true }, north, {
      side: 'parent',
      mode: 'ReadWrite',
      conflict: () => 'parent-wins',
      arrived: false,
    });
    assert.equal(taken.outcome, 'imported');
    const { set } = await sides.export();
    assert.deepEqual([set?.number, set?.content], [2, 3]);
    assert.equal((await sides.import({}, empty)).outcome, 'imported');
    assert.deepEqual(await tagsOf(empty, 'app'), { '1': first });
  } finally {
    await empty[Symbol.asyncDispose]();
    await buses.server[Symbol.asyncDispose]();
  }
});

test('what is no file under the name of one is named, and never waited for', async () => {
  await using sides = await TwoSides.open();
  await sides.north.gateway.pushImage('app', 'one', { tag: '1' });
  await sides.export();
  const at = (name: string) => join(sides.folder, `terrace-north-south-${name}`);
  await mkdir(at('000002-list.json'));
  execFileSync('mkfifo', [at('000003-list.json'), at('000001-list.json.sig')]);
  await symlink('/dev/zero', at('000004-list.json'));
  await writeFile(at('000005-list.json'), '');
  const { archives } = sides.south.storage;
  const { results, unusable } = await archives.import({ folder: sides.folder, keyFiles: [], dryRun: false });
  assert.deepEqual(
    results.map(({ outcome }) => outcome),
    ['imported'],
  );
  assert.equal(unusable.length, 4, unusable.join('\n'));
  await rm(at('000001-part-001.tar'));
  execFileSync('mkfifo', [at('000001-part-001.tar')]);
  const again = await archives.import({ folder: sides.folder, keyFiles: [], dryRun: true });
  assert.equal(again.results[0]?.outcome, 'known');
});

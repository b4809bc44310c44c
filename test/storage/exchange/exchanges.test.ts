import assert from 'node:assert/strict';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { deleteTag, getManifest, listTags } from '#proto/content/manifests.ts';
import { random as seeded } from '../../support/time/random.ts';
import { pushBlobs, tagsOf } from '../archive/two-sides.ts';
import { type Rig, random } from '../rig.ts';
import { ByFolders } from './by-folders.ts';

test('what is pushed at either side arrives at the other one, and nothing is written without a change', async () => {
  await using by = await ByFolders.open();
  const { north, south } = by;
  const down = await pushBlobs(north, 'app', '1', [random(100_000)]);
  const up = await pushBlobs(south, 'line/log', '7', [random(1_000)]);
  await by.round();
  assert.deepEqual(await tagsOf(south, 'app'), { 1: down });
  assert.deepEqual(await tagsOf(north, 'line/log'), { 7: up });
  await by.round();
  const written = north.storage.exchanges.status?.[0]?.outbox?.last?.number;
  await by.round();
  await by.round();
  const { inbox, outbox } = await by.pass(north);
  assert.equal(outbox?.last?.number, written, 'acknowledgements are not acknowledged');
  assert.equal(inbox?.failure ?? outbox?.failure, undefined);
  assert.deepEqual(await by.files('south-in'), [], 'imported sets are deleted');
  const lists = (await by.files('north-out')).filter((name) => name.endsWith('-list.json'));
  assert.ok(lists.length <= 1, `acknowledged sets are deleted: ${lists}`);
});

test('content is not sent back to where it came from', async () => {
  await using by = await ByFolders.open();
  const { north, south } = by;
  await pushBlobs(north, 'app', '1', [random(500_000)]);
  await pushBlobs(south, 'line/log', '7', [random(300_000)]);
  await by.round();
  await by.round();
  const sent = [north, south].map((rig) => rig.storage.exchanges.status?.[0]?.outbox?.last);
  for (const last of sent) assert.ok(last && last.number > 1 && last.bytes < 100_000, JSON.stringify(sent));
  assert.equal(Object.keys(await tagsOf(north, 'line/log')).length, 1);
});

test('a change at both sides is a conflict: the parent wins, and both keep what lost', async () => {
  await using by = await ByFolders.open();
  const { north, south } = by;
  await pushBlobs(north, 'app', '1', [random(1_000)]);
  await by.round();
  const winner = await pushBlobs(north, 'app', '1', [random(1_000)]);
  const loser = await pushBlobs(south, 'app', '1', [random(1_000)]);
  await by.round();
  await by.round();
  const kept = `1.conflict-south-${loser.slice(7, 19)}`;
  assert.deepEqual(await tagsOf(south, 'app'), { 1: winner, [kept]: loser });
  assert.deepEqual(await tagsOf(north, 'app'), { 1: winner, [kept]: loser });
});

test('a ReadOnly child changes nothing above, and its parent what it has', async () => {
  await using by = await ByFolders.open({ north: { mode: 'ReadOnly' }, south: { mode: 'ReadOnly' } });
  const { north, south } = by;
  const first = await pushBlobs(north, 'app', '1', [random(1_000)]);
  await pushBlobs(south, 'own', '1', [random(1_000)]);
  await by.round();
  assert.deepEqual(await tagsOf(south, 'app'), { 1: first });
  assert.deepEqual(await tagsOf(north, 'own'), {});
  await north.gateway.call(deleteTag, { repository: 'app', tag: '1' });
  await by.round();
  await by.round();
  assert.deepEqual(await tagsOf(south, 'app'), {});
  assert.ok(
    (north.storage.exchanges.status?.[0]?.outbox?.acknowledged ?? 0) >= 2,
    'what it has is acknowledged',
  );
});

test('of a child that may change nothing, no content is stored', async () => {
  await using by = await ByFolders.open({ north: { mode: 'ReadOnly' } });
  const { north, south } = by;
  await pushBlobs(north, 'app', '1', [random(1_000)]);
  await by.round();
  const digest = await pushBlobs(south, 'app', '2', [random(1_000)]);
  await pushBlobs(south, 'own', '1', [random(1_000)]);
  await by.round();
  await assert.rejects(
    north.gateway.call(getManifest, { repository: 'app', reference: digest }),
    /no manifest/,
  );
  await assert.rejects(north.gateway.call(listTags, { repository: 'own', limit: 1 }), /not known/);
  const { inbox } = await by.pass(north);
  assert.equal(inbox?.failure, undefined);
  assert.ok((inbox?.last?.number ?? 0) > 0, 'what it acknowledges is read');
});

test('of a child, only what it may change is taken', async () => {
  await using by = await ByFolders.open({ north: { repositories: ['line/*'] } });
  const { north, south } = by;
  const mine = await pushBlobs(south, 'line/a', '1', [random(1_000)]);
  await pushBlobs(south, 'plant/b', '1', [random(1_000)]);
  await by.round();
  assert.deepEqual(await tagsOf(north, 'line/a'), { 1: mine });
  assert.deepEqual(await tagsOf(north, 'plant/b'), {});
});

test('a child gets no content of other repositories by naming its digest', async () => {
  await using by = await ByFolders.open({ north: { repositories: ['line/*'] } });
  const { north, south } = by;
  const digest = await south.gateway.pushImage('line/a', 'text', { tag: '1' });
  await by.pass(south);
  assert.equal(await north.gateway.pushImage('secret', 'text', { tag: '1' }), digest);
  await by.carry('south');
  await by.drop('north-in', 'terrace-south-north-000001-part-001.tar');
  const { inbox } = await by.pass(north);
  assert.match(inbox?.failure?.reason ?? '', /neither here nor in the folder/);
  assert.deepEqual(await tagsOf(north, 'line/a'), {});
  await by.carry('south');
  await by.pass(north);
  assert.deepEqual(await tagsOf(north, 'line/a'), { 1: digest });
});

test('sets of others in the same folder are ignored', async () => {
  await using by = await ByFolders.open({ south: { peer: 'another' } });
  const { north, south } = by;
  await pushBlobs(north, 'app', '1', [random(1_000)]);
  await by.pass(north);
  await by.carry('north');
  const { inbox } = await by.pass(south);
  assert.equal(inbox?.failure, undefined);
  assert.deepEqual(await tagsOf(south, 'app'), {});
  assert.ok((await by.files('south-in')).length > 0, 'and stay');
});

test('a damaged set changes nothing, is named, and is sent again without being asked for by a person', async () => {
  await using by = await ByFolders.open();
  const { north, south } = by;
  const digest = await pushBlobs(north, 'app', '1', [random(100_000)]);
  await by.pass(north);
  const carried = await by.carry('north');
  const part = carried.find((name) => name.endsWith('part-001.tar')) as string;
  await by.damage('south-in', part, 3_000);
  const { inbox } = await by.pass(south);
  assert.match(inbox?.failure?.reason ?? '', new RegExp(`${part} is damaged`));
  assert.deepEqual(await tagsOf(south, 'app'), {});
  await by.carry('south');
  await by.pass(north);
  await by.carry('north');
  const after = await by.pass(south);
  assert.equal(after.inbox?.failure, undefined, after.inbox?.failure?.reason);
  assert.deepEqual(await tagsOf(south, 'app'), { 1: digest });
});

test('a folder that is not there is named, and used once it is', async () => {
  await using by = await ByFolders.open();
  const { north } = by;
  await pushBlobs(north, 'app', '1', [random(1_000)]);
  await rename(by.folder('north-out'), by.folder('elsewhere'));
  await rename(by.folder('north-in'), by.folder('elsewhere-in'));
  const away = await by.pass(north);
  assert.match(away.outbox?.failure?.reason ?? '', /north-out does not exist: mount the disk/);
  assert.match(away.inbox?.failure?.reason ?? '', /north-in can't be read \(ENOENT\): mount the disk/);
  await rename(by.folder('elsewhere'), by.folder('north-out'));
  await rename(by.folder('elsewhere-in'), by.folder('north-in'));
  const back = await by.pass(north);
  assert.equal(back.outbox?.failure ?? back.inbox?.failure, undefined);
  assert.equal(back.outbox?.last?.number, 1);
});

test('a set that is refused is named again after its folder was away', async () => {
  await using by = await ByFolders.open();
  const { north, south } = by;
  await pushBlobs(north, 'app', '1', [random(1_000)]);
  await by.pass(north);
  await by.carry('north');
  await by.damage('south-in', 'terrace-north-south-000001-part-001.tar', 3_000);
  assert.match((await by.pass(south)).inbox?.failure?.reason ?? '', /is damaged/);
  await rename(by.folder('south-in'), by.folder('elsewhere'));
  assert.match((await by.pass(south)).inbox?.failure?.reason ?? '', /can't be read \(ENOENT\)/);
  await rename(by.folder('elsewhere'), by.folder('south-in'));
  assert.match((await by.pass(south)).inbox?.failure?.reason ?? '', /is damaged/);
});

test('the last import is known after a restart, and one by hand counts', async () => {
  await using by = await ByFolders.open();
  const { north, south } = by;
  await pushBlobs(north, 'app', '1', [random(1_000)]);
  await by.round();
  const { last } = (await by.pass(south)).inbox ?? {};
  assert.deepEqual([last?.number, last?.changed], [1, 1]);
  assert.ok(last && last.bytes > 1_000 && last.at < south.now, JSON.stringify(last));
  for (const peer of ['north', undefined]) {
    await south.restart();
    // Without a name, any layer may be the one above.
    await by.configure({ south: { peer } as { peer: string } });
    await south.storage.exchanges.poll();
    assert.deepEqual(south.storage.exchanges.status?.[0]?.inbox?.last, last);
  }
  await pushBlobs(north, 'app', '2', [random(1_000)]);
  await by.sides.export({ always: true });
  await by.sides.import();
  await south.storage.exchanges.poll();
  assert.equal(south.storage.exchanges.status?.[0]?.inbox?.last?.number, 2);
});

test('what is lacking is asked for after a restart, too, if nothing was ever imported', async () => {
  await using by = await ByFolders.open();
  const { north, south } = by;
  await pushBlobs(south, 'line/log', '1', [random(1_000)]);
  assert.equal((await by.pass(south)).outbox?.last?.number, 1);
  const digest = await pushBlobs(north, 'app', '1', [random(1_000)]);
  await by.pass(north);
  await by.carry('north');
  const part = 'terrace-north-south-000001-part-001.tar';
  await by.drop('south-in', part);
  for (let polls = 0; polls < 3; polls += 1) await south.storage.exchanges.poll();
  assert.match(south.storage.exchanges.status?.[0]?.inbox?.failure?.reason ?? '', new RegExp(part));
  for (const name of await by.files('south-in')) await by.drop('south-in', name);
  await by.configure({ south: { maxPartBytes: 80_000 } });
  await south.storage.exchanges.poll();
  assert.equal((await by.pass(south)).outbox?.last?.number, 2);
  await by.carry('south');
  // The request is imported, and answered an hour later.
  await by.pass(north);
  await by.pass(north);
  for (const name of await by.files('north-out'))
    if (name.includes('-000001-')) await rm(join(by.folder('north-out'), name));
  await by.carry('north');
  await by.pass(south);
  assert.deepEqual(await tagsOf(south, 'app'), { 1: digest });
});

test('nothing is written any more once the service ends', async () => {
  await using by = await ByFolders.open();
  await pushBlobs(by.north, 'app', '1', [random(1_000)]);
  by.north.now += 3_600_000;
  const end = new AbortController();
  const running = by.north.storage.exchanges.run(end.signal);
  end.abort();
  await running;
  assert.deepEqual(await by.files('north-out'), []);
});

test('ten rounds of changes on both sides, by folders from which files are lost or damaged: equal, and nothing is lost', async () => {
  const seed = Number(process.env.TERRACE_SEED) || Math.floor(Math.random() * 1e6);
  console.log(`TERRACE_SEED=${seed}`);
  const next = seeded(seed);
  const draw = (below: number) => Math.floor(next() * below);
  await using by = await ByFolders.open();
  const live = new Set<string>();
  const change = async (rig: Rig) => {
    const tag = `t${draw(3)}`;
    const before = (await tagsOf(rig, 'app'))[tag];
    if (before) live.delete(before);
    if (before && draw(3) === 0) await rig.gateway.call(deleteTag, { repository: 'app', tag });
    else live.add(await pushBlobs(rig, 'app', tag, [random(500 + draw(80_000))]));
  };
  for (let count = 0; count < 10; count += 1) {
    for (const from of ['north', 'south'] as const) {
      const to = from === 'north' ? 'south' : 'north';
      await change(by[from]);
      await by.pass(by[from]);
      const names = await by.carry(from);
      const name = names[draw(names.length)];
      const harm = draw(6);
      if (name && harm === 0) await by.drop(`${to}-in`, name);
      if (name && harm === 1) await by.damage(`${to}-in`, name, draw(1e6));
      if (draw(4) > 0) await by.pass(by[to]);
    }
  }
  for (let count = 0; count < 5; count += 1) await by.round();
  const tags = await tagsOf(by.north, 'app');
  assert.deepEqual(await tagsOf(by.south, 'app'), tags);
  const reachable = new Set(Object.values(tags));
  for (const digest of live) assert.ok(reachable.has(digest), `${digest} is lost`);
});

import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Level } from 'level';
import { accountsStatus } from '#proto/accounts/accounts.ts';
import { tagMoved } from '#proto/content/content-events.ts';
import { deleteTag, listBases, listTags, setBase } from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { listChanges } from '#proto/sync/changes.ts';
import { listUnsent } from '#proto/sync/outgoing.ts';
import { effective, hintsIn, inOrder } from '../../../services/storage/repair/hints.ts';
import { RebuiltRecords } from '../../../services/storage/repair/rebuilt-records.ts';
import type { Remnant } from '../../../services/storage/repair/remnants.ts';
import { type RepairOptions, repairMetadata } from '../../../services/storage/repair/repair-metadata.ts';
import { type RepairReport, reportText } from '../../../services/storage/repair/repair-report.ts';
import { LOST_AND_FOUND } from '../../../services/storage/repair/restore-manifests.ts';
import { random as numbers } from '../../support/time/random.ts';
import { type Buses, connectAll, digestOf, fault, imageOf, indexOf, jsonOf, Rig } from '../rig.ts';

/** What is brought back of damaged metadata: all that the records and the content still tell. */

let buses: Buses;
before(async () => {
  buses = await connectAll();
});
after(() => buses.server[Symbol.asyncDispose]());

const app = 'line/app';
const now = new Date(Date.UTC(2030, 0, 1));

async function repaired(rig: Rig, more: Partial<RepairOptions> = {}): Promise<RepairReport> {
  const done = await repairMetadata({ data: rig.data, hints: [], open: false, force: false, now, ...more });
  assert.equal(done.kind, 'done');
  return (done as { report: RepairReport }).report;
}

async function fileOf(rig: Rig, ending: string): Promise<string> {
  const folder = join(rig.data, 'metadata');
  const names = (await readdir(folder)).filter((name) => name.endsWith(ending)).sort();
  return join(folder, names.at(-1) as string);
}

/** Damages the record of the log that has this text in it, in the type of the event that it tells of. */
async function damageAt(rig: Rig, text: string): Promise<void> {
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  const at = log.indexOf('manifest.committed', log.indexOf(text));
  assert.ok(at >= 0, `${text} is in the log`);
  log[at] = (log[at] as number) ^ 0x01;
  await writeFile(path, log);
}

/** Makes a table of a log, in a folder of its own. @returns its path */
async function tableOf(log: string, folder: string): Promise<string> {
  await mkdir(folder);
  await copyFile(log, join(folder, '000001.log'));
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(folder);
  const name = (await readdir(folder)).find((each) => each.endsWith('.ldb'));
  return join(folder, name as string);
}

async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).filter((name) => !/^LO(CK|G)/.test(name)).sort();
  const texts = names.map(async (name) => [name, (await readFile(join(folder, name))).toString('base64')]);
  return Object.fromEntries(await Promise.all(texts));
}

const tagsOf = async (rig: Rig, repository: string) =>
  (await rig.gateway.call(listTags, { repository, limit: 1_000 })).tags;

test('one record of the log is damaged: all else is there, and what it told is brought back from content', async () => {
  await using rig = await Rig.open(buses);
  const digests: string[] = [];
  for (let i = 0; i < 20; i += 1) {
    digests.push(await rig.gateway.pushImage(app, `layer ${i}`, { tag: `v${i}` }));
  }
  await rig.stop();
  // The batch of v7: its manifest's record, its tag, and that it is unsent.
  await damageAt(rig, `m!${app}!${digests[7]}`);
  await assert.rejects(rig.start(), fault('volume-unusable'));
  const before = await contents(join(rig.data, 'metadata'));
  const report = await repaired(rig);
  assert.deepEqual(await contents(report.oldMetadata), before, 'the old ones are kept as they were');
  assert.match(report.damage[0]?.what ?? '', /is damaged at byte/);
  assert.deepEqual(report.lost, []);
  assert.ok(report.restored.some((line) => line.startsWith(`manifest ${app}@${digests[7]}`)));
  assert.ok(report.restored.some((line) => line.startsWith(`tag ${app}:v7`)));
  await rig.start();
  for (const [i, digest] of digests.entries()) {
    assert.equal(digestOf(await rig.gateway.readManifest(app, `v${i}`)), digest);
  }
  const { manifests } = await rig.syncer.call(listUnsent, { limit: 100 });
  assert.equal(manifests.length, 20, 'each of them may be what the parent does not have');
});

/** Changes one bit of the log: `offset` bytes behind where this text begins, the first one behind `after`. */
async function flip(rig: Rig, text: string, offset: number, after = text): Promise<void> {
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  const at = log.indexOf(text, log.indexOf(after));
  assert.ok(at >= 0, `${text} is in the log`);
  log[at + offset] = (log[at + offset] as number) ^ 0x01;
  await writeFile(path, log);
}

test('of a tag, what its own damaged record can not tell is told by the event beside it', async () => {
  await using rig = await Rig.open(buses);
  const image = await rig.gateway.pushImage(app, 'one', { tag: 'digit' });
  const named = await rig.gateway.pushImage(app, 'two', { tag: 'named' });
  await rig.stop();
  const record = `t!${app}!digit`;
  await flip(rig, record, record.length + 20);
  // This is no key any more.
  await flip(rig, `t!${app}!named`, 1);
  const { lost, restored } = await repaired(rig);
  assert.deepEqual(
    lost.map((line) => line.replace(/at byte.*:/, '…')),
    ['records of 000003.log, which is damaged … some of their names cannot be read'],
  );
  assert.ok(restored.includes(`tag ${app}:digit, which pointed to ${image}`));
  await rig.start();
  assert.deepEqual(await tagsOf(rig, app), [
    { tag: 'digit', digest: image },
    { tag: 'named', digest: named },
  ]);
});

test('a name that only the damaged record has is not believed', async () => {
  await using rig = await Rig.open(buses);
  const older = await rig.gateway.pushImage(app, 'older', { tag: 'v8' });
  await rig.gateway.pushImage(app, 'newer', { tag: 'v8' });
  await rig.stop();
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  const at = log.lastIndexOf(`t!${app}!v8`) + `t!${app}!v`.length;
  log[at] = (log[at] as number) ^ 0x01;
  // Neither does the event tell.
  const event = log.indexOf('tag.moved', at);
  log[event] = (log[event] as number) ^ 0x01;
  await writeFile(path, log);
  const { lost } = await repaired(rig);
  assert.match(lost[0] ?? '', /some of their names cannot be read$/);
  await rig.start();
  assert.deepEqual(await tagsOf(rig, app), [{ tag: 'v8', digest: older }]);
});

test('what can not be made out is listed by name', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(app, 'first', { tag: 'first' });
  const second = await rig.gateway.pushImage(app, 'second', { tag: 'second' });
  await rig.stop();
  // The digest that the tag points to is another one now, and the event that tells of it is none.
  const record = `t!${app}!second`;
  await flip(rig, record, record.length + 20);
  await flip(rig, 'tag.moved', 0, record);
  const report = await repaired(rig);
  assert.deepEqual(report.lost, [`tag ${app}:second`]);
  const text = await readFile(join(report.oldMetadata, '../report.txt'), 'utf8');
  assert.match(text, /Lost:\n {2}tag line\/app:second/);
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, second)), second, 'by its digest it is there');
});

test('a record that can be read and is none of its kind is dropped, and listed', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(app, 'well', { tag: 'well' });
  await rig.stop();
  {
    await using records = await RebuiltRecords.open(join(rig.data, 'metadata'));
    await records.write([
      { type: 'put', key: `t!${app}!sick`, value: 'no digest' },
      { type: 'put', key: `b!${digest.slice(0, 20)}`, value: { size: 1 } },
      { type: 'put', key: 'a!ci', value: { enabled: 'yes' } },
    ]);
  }
  const { lost } = await repaired(rig, { force: true });
  for (const key of [`t!${app}!sick`, `b!${digest.slice(0, 20)}`, 'a!ci']) {
    assert.ok(lost.includes(`record ${key}: invalid`), `${key}: ${lost}`);
  }
  await rig.start();
  assert.deepEqual(
    (await tagsOf(rig, app)).map(({ tag }) => tag),
    ['well'],
  );
});

test('all metadata are gone: content is kept, and nobody is let in', async () => {
  await using rig = await Rig.open(buses);
  const image = await rig.gateway.pushImage(app, 'kept', { tag: 'v1' });
  await rig.stop();
  await rm(join(rig.data, 'metadata'), { recursive: true });
  await assert.rejects(rig.start(), /has lost its metadata/);
  const { notes } = await repaired(rig);
  assert.ok(notes.some((note) => /all access is refused until a token exists/.test(note)));
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(LOST_AND_FOUND, image)), image);
  const { manifests } = await rig.syncer.call(listUnsent, { limit: 10 });
  assert.deepEqual(manifests, [], 'nothing of it goes to the parent');
  assert.equal((await rig.gateway.call(accountsStatus, {})).tokens, 1);
  assert.equal((await rig.gateway.call(storageStatus, {})).closed, true);
  await rig.storage.accounts.create({ name: 'ci', actions: ['repositories/*/content/read'] });
  await rig.storage.accounts.delete('ci');
  assert.equal((await rig.gateway.call(accountsStatus, {})).tokens, 0, 'from then on it is as it was');
});

test('what clients pushed forges no line of the report, and controls no terminal', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(app, 'forging');
  const annotations = { 'org.opencontainers.image.title': 'app\nLost:\n  all of it\u001b[2J\u202e' };
  await rig.gateway.pushManifest(app, imageOf('forging', { annotations }));
  await rig.stop();
  await rm(join(rig.data, 'metadata'), { recursive: true });
  const report = await repaired(rig);
  const text = reportText(report);
  assert.match(text, /, app Lost: {3}all of it \[2J ,/);
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  assert.equal(text.match(/^Lost:$/gm)?.length, 1);
  assert.equal(await readFile(join(report.oldMetadata, '../report.txt'), 'utf8'), `${text}\n`);
});

test('a layer that had no accounts is open again where somebody says so', async () => {
  await using rig = await Rig.open(buses);
  await rig.stop();
  await rm(join(rig.data, 'metadata'), { recursive: true });
  await repaired(rig, { open: true });
  await rig.start();
  assert.equal((await rig.gateway.call(accountsStatus, {})).tokens, 0);
});

test('an index gives its manifests back, one whose manifest is gone asks the parent, hints tell of tags', async () => {
  await using rig = await Rig.open(buses);
  const one = await rig.gateway.pushImage(app, 'one of it');
  const two = await rig.gateway.pushImage(app, 'two of it');
  const sizes = [jsonOf(imageOf('one of it')).length, jsonOf(imageOf('two of it')).length];
  const child = (digest: string, size = 0) => ({ mediaType: mediaTypes.ociManifest, digest, size });
  const index = indexOf(child(one, sizes[0]), child(two, sizes[1]));
  const digest = await rig.gateway.pushManifest(app, index, { mediaType: mediaTypes.ociIndex, tag: 'all' });
  await rig.stop();
  const hex = two.slice('sha256:'.length);
  await rm(join(rig.data, 'blobs/sha256', hex.slice(0, 2), hex));
  await rm(join(rig.data, 'metadata/CURRENT'));
  await damageAt(rig, `m!${app}!${one}`);
  await damageAt(rig, `m!${app}!${digest}`);
  const report = await repaired(rig, { hints: [{ repository: app, digest, tag: 'told' }] });
  assert.ok(report.lost.some((line) => line.includes(two)));
  await rig.start();
  for (const reference of ['all', 'told']) {
    assert.equal(digestOf(await rig.gateway.readManifest(app, reference)), digest);
  }
  assert.equal(digestOf(await rig.gateway.readManifest(app, one)), one);
  await assert.rejects(rig.gateway.readManifest(app, two), fault('manifest-unknown'));
});

test('what was deleted stays deleted, and nothing is taken for agreed on', async () => {
  await using rig = await Rig.open(buses);
  for (let i = 0; i < 5; i += 1) {
    const digest = await rig.gateway.pushImage(app, `layer ${i}`, { tag: `v${i}` });
    await rig.syncer.call(setBase, { repository: app, tag: `v${i}`, digest });
  }
  await rig.gateway.call(deleteTag, { repository: app, tag: 'v3' });
  const { cursor } = await rig.gateway.call(listChanges, { limit: 10 });
  await rig.stop();
  await rm(join(rig.data, 'metadata/CURRENT'));
  await repaired(rig);
  await rig.start();
  assert.deepEqual(
    (await tagsOf(rig, app)).map(({ tag }) => tag),
    ['v0', 'v1', 'v2', 'v4'],
  );
  const { tags: bases } = await rig.syncer.call(listBases, { repository: app, limit: 10 });
  assert.deepEqual(bases, [], 'the deletion of v3 is not told to the parent, nor is anything else');
  for (const after of [cursor, '0.']) {
    assert.equal((await rig.gateway.call(listChanges, { after, limit: 10 })).lost, true);
  }
});

test('an account that was deleted, or changed, and may be as it was before, is listed', async () => {
  await using rig = await Rig.open(buses);
  const { accounts } = rig.storage;
  for (const name of ['deleted', 'disabled']) {
    await accounts.create({ name, actions: ['repositories/*/content/read'] });
  }
  await rig.restart();
  await rig.storage.accounts.delete('deleted');
  await rig.storage.accounts.change({ name: 'disabled', enabled: false });
  await rig.stop();
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  for (const text of ['a!deleted', 'a!disabled']) {
    const at = log.indexOf(text) - 10;
    log[at] = (log[at] as number) ^ 0x01;
  }
  await writeFile(path, log);
  const { lost } = await repaired(rig);
  assert.deepEqual(lost.filter((line) => /token/.test(line)).sort(), [
    'the deletion of token deleted: it exists again',
    'the last change of token disabled: it has its previous value',
  ]);
});

test('of several values of a key the newest counts, whatever the numbers of the tables', async () => {
  await using rig = await Rig.open(buses);
  await rig.storage.accounts.create({ name: 'deleted', actions: ['repositories/*/content/read'] });
  await rig.gateway.pushImage(app, 'older', { tag: 'v1' });
  // What was written so far is in a table from then on.
  await rig.restart();
  await rig.storage.accounts.delete('deleted');
  const newer = await rig.gateway.pushImage(app, 'newer', { tag: 'v1' });
  await rig.stop();
  const folder = join(rig.data, 'metadata');
  await rename(await fileOf(rig, '.ldb'), join(folder, '000099.ldb'));
  const log = await fileOf(rig, '.log');
  await rename(await tableOf(log, join(rig.data, 'converted')), join(folder, '000002.ldb'));
  await Promise.all([rm(log), rm(join(folder, 'CURRENT'))]);
  const { restored } = await repaired(rig, { open: true });
  assert.deepEqual(restored, [], 'the tag points to the newer manifest without any hint');
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), newer);
  await assert.rejects(rig.storage.accounts.change({ name: 'deleted' }), fault('account-unknown'));
});

test('a table stays although the end of the manifest, which names it, seems not to be written', async () => {
  await using rig = await Rig.open(buses);
  const tabled = await rig.gateway.pushImage(app, 'tabled', { tag: 'v1' });
  // What was written so far is in a table from then on.
  await rig.restart();
  await rig.gateway.pushImage(app, 'logged', { tag: 'v2' });
  await rig.stop();
  const folder = join(rig.data, 'metadata');
  const path = join(folder, (await readFile(join(folder, 'CURRENT'), 'utf8')).trim());
  const manifest = await readFile(path);
  await writeFile(path, manifest.subarray(0, -10));
  await assert.rejects(rig.start(), fault('volume-unusable'));
  const { lost, restored } = await repaired(rig);
  assert.deepEqual([lost, restored], [[], []]);
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), tabled);
});

test('storage that runs is not touched, and neither is what is whole', async () => {
  await using rig = await Rig.open(buses);
  const options = { data: rig.data, hints: [], open: false, force: false, now };
  await assert.rejects(repairMetadata(options), fault('busy'));
  const digest = await rig.gateway.pushImage(app, 'whole', { tag: 'v1' });
  await rig.stop();
  assert.deepEqual(await repairMetadata(options), { kind: 'intact' });
  const report = await repaired(rig, { force: true });
  assert.deepEqual([report.damage, report.lost, report.restored], [[], [], []]);
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), digest);
});

test('a repair that was cut off is made again, or gone on with', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(app, 'cut', { tag: 'v1' });
  await rig.stop();
  await rm(join(rig.data, 'metadata/CURRENT'));
  const begun = join(rig.data, 'repair/2029-01-01');
  await mkdir(join(begun, 'rebuilt'), { recursive: true });
  await writeFile(join(begun, 'rebuilt/000001.log'), 'half');
  const { oldMetadata } = await repaired(rig);
  await assert.rejects(stat(begun), { code: 'ENOENT' });
  // As a power cut leaves it between its last two steps.
  await rename(join(rig.data, 'metadata'), join(oldMetadata, '../rebuilt'));
  const options = { data: rig.data, hints: [], open: false, force: false, now };
  assert.deepEqual(await repairMetadata(options), { kind: 'finished', folder: join(oldMetadata, '..') });
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), digest);
});

test('of hints, what is true at the end counts', () => {
  const [one, two] = ['1', '2'].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string];
  const { manifests, tags } = effective([
    { repository: app, tag: 'v1', digest: one },
    { repository: app, tag: 'v1', digest: two },
    { repository: app, tag: 'gone', digest: one },
    { repository: app, tag: 'gone', digest: one, deleted: true },
    { repository: app, digest: one, deleted: true },
  ]);
  assert.deepEqual(manifests, [{ repository: app, digest: two }]);
  assert.deepEqual([...tags], [[`${app}!v1`, [one, two]]]);
});

test('of a tag that damaged bytes move twice, the last move counts, and no digest that nothing has', () => {
  const [one, two, none] = ['1', '2', '3'].map((digit) => `sha256:${digit.repeat(64)}`) as [
    string,
    string,
    string,
  ];
  const move = (digest: string, told: string): Remnant[] => [
    { key: `t!${app}!v1`, deleted: false, value: digest },
    {
      key: 'e!0000000000000007',
      deleted: false,
      value: { type: tagMoved.type, data: { repository: app, tag: 'v1', digest: told, mediaType: 'a/b' } },
    },
  ];
  const last = (...remnants: Remnant[]) =>
    hintsIn(remnants, (digest) => digest !== none).hints.map(({ digest }) => digest);
  assert.deepEqual(last(...move(one, one), ...move(two, two)), [two]);
  assert.deepEqual(last(...move(one, none)), [one]);
  assert.deepEqual(last(...move(none, one)), [one]);
  assert.deepEqual(last(...move(one, one), { key: `t!${app}!v1`, deleted: true }), [], 'deleted in the end');
  assert.deepEqual(last({ key: `t!${app}!v1`, deleted: false, value: one }), []);
});

test('what damaged bytes tell comes after the events where a later announcement is in them than one that is left', () => {
  const hint = (digit: number) => ({ repository: app, digest: `sha256:${String(digit).repeat(64)}` });
  const told = (digit: number, serial?: number) => ({
    hints: [hint(digit)],
    serial,
    named: [],
    unconfirmed: false,
  });
  const order = (...announced: number[]) =>
    inOrder(
      [told(1), told(2, 20), told(3, 40)],
      [hint(4)],
      announced.map((serial) => ({ serial, hint: hint(serial / 10) })),
    ).map(({ digest }) => Number(digest.at(-1)));
  assert.deepEqual(order(), [1, 2, 3, 4]);
  assert.deepEqual(order(30, 50), [1, 2, 4, 3, 3, 5]);
  assert.deepEqual(order(10), [1, 4, 1, 2, 3]);
});

const seed = Number(process.env.TERRACE_SEED) || Date.now() % 1_000_000;
test(`damage anywhere: all content is there, and no tag points to what it never pointed to (seed ${seed})`, async () => {
  const draw = numbers(seed);
  const upTo = (limit: number) => Math.floor(draw() * limit);
  for (let round = 0; round < 3; round += 1) {
    await using rig = await Rig.open(buses);
    const ever = new Map<string, Set<string>>();
    const last = new Map<string, string>();
    for (let i = 0; i < 30; i += 1) {
      const [repository, tag] = [`app-${upTo(3)}`, `v${upTo(12)}`];
      const digest = await rig.gateway.pushImage(repository, `content ${round} ${i}`, { tag });
      ever.set(`${repository}:${tag}`, (ever.get(`${repository}:${tag}`) ?? new Set()).add(digest));
      last.set(`${repository}:${tag}`, digest);
      // Some of it lies in tables, the rest in the log.
      if (i === 10) await rig.restart();
    }
    await rig.stop();
    const folder = join(rig.data, 'metadata');
    for (const name of (await readdir(folder)).filter((each) => /^\d|^MANIFEST|^CURRENT/.test(each))) {
      const bytes = await readFile(join(folder, name));
      for (let hit = 0; hit < 2 && draw() < 0.7; hit += 1) bytes[upTo(bytes.length)] = upTo(256);
      await writeFile(join(folder, name), bytes);
    }
    const { lost } = await repaired(rig, { force: true });
    await rig.start();
    for (const repository of ['app-0', 'app-1', 'app-2']) {
      for (const { tag } of await tagsOf(rig, repository).catch(() => [])) {
        assert.ok(ever.has(`${repository}:${tag}`), `there never was a tag ${repository}:${tag}`);
      }
    }
    for (const [name, digests] of ever) {
      const [repository = '', tag = ''] = name.split(':');
      const tags = await tagsOf(rig, repository).catch(() => []);
      const found = tags.find((one) => one.tag === tag)?.digest;
      assert.ok(found === undefined || digests.has(found), `${name} points to ${found}`);
      if (found !== last.get(name)) {
        assert.ok(
          lost.some((line) => line.includes(name)) || lost.length > 0,
          `${name} is lost without a word`,
        );
      }
      for (const digest of digests) {
        const homes = [repository, LOST_AND_FOUND].map((home) =>
          rig.gateway.readManifest(home, digest).then(digestOf, () => undefined),
        );
        assert.ok((await Promise.all(homes)).includes(digest), `${name}@${digest} is gone`);
      }
    }
  }
});

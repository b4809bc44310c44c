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
import { random as randomNumbers } from '../../support/time/random.ts';
import { type Buses, connectAll, digestOf, fault, imageOf, indexOf, jsonOf, Rig } from '../rig.ts';

/** A repair of damaged metadata restores all that records and content still have. */

let buses: Buses;
before(async () => {
  buses = await connectAll();
});
after(() => buses.server[Symbol.asyncDispose]());

const app = 'line/app';
const now = new Date(Date.UTC(2030, 0, 1));

async function repair(rig: Rig, more: Partial<RepairOptions> = {}): Promise<RepairReport> {
  const done = await repairMetadata({ data: rig.data, hints: [], open: false, force: false, now, ...more });
  assert.equal(done.kind, 'done');
  return (done as { report: RepairReport }).report;
}

async function fileOf(rig: Rig, ending: string): Promise<string> {
  const folder = join(rig.data, 'metadata');
  const names = (await readdir(folder)).filter((name) => name.endsWith(ending)).sort();
  return join(folder, names.at(-1) as string);
}

/** Damages the record of the log that contains this text, in the type of its event. */
async function damageAt(rig: Rig, text: string): Promise<void> {
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  const at = log.indexOf('manifest.committed', log.indexOf(text));
  assert.ok(at >= 0, `${text} is in the log`);
  log[at] = (log[at] as number) ^ 0x01;
  await writeFile(path, log);
}

/** Converts a log to a table, in another folder. @returns the path of the table */
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

test('with one damaged log record, all others are kept, and what it contained is restored from content', async () => {
  await using rig = await Rig.open(buses);
  const digests: string[] = [];
  for (let i = 0; i < 20; i += 1) {
    digests.push(await rig.gateway.pushImage(app, `layer ${i}`, { tag: `v${i}` }));
  }
  await rig.stop();
  // The batch of v7: the record of its manifest, its tag, and its unsent record.
  await damageAt(rig, `m!${app}!${digests[7]}`);
  await assert.rejects(rig.start(), fault('volume-unusable'));
  const before = await contents(join(rig.data, 'metadata'));
  const report = await repair(rig);
  assert.deepEqual(await contents(report.oldMetadata), before, 'the old metadata is unchanged');
  assert.match(report.damage[0]?.what ?? '', /is damaged at byte/);
  assert.deepEqual(report.lost, []);
  assert.ok(report.restored.some((line) => line.startsWith(`manifest ${app}@${digests[7]}`)));
  assert.ok(report.restored.some((line) => line.startsWith(`tag ${app}:v7`)));
  await rig.start();
  for (const [i, digest] of digests.entries()) {
    assert.equal(digestOf(await rig.gateway.readManifest(app, `v${i}`)), digest);
  }
  const { manifests } = await rig.syncer.call(listUnsent, { limit: 100 });
  assert.equal(manifests.length, 20, 'the parent may lack each of them');
});

/** Flips one bit of the log: `offset` bytes into the first occurrence of `text` that follows `after`. */
async function flip(rig: Rig, text: string, offset: number, after = text): Promise<void> {
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  const at = log.indexOf(text, log.indexOf(after));
  assert.ok(at >= 0, `${text} is in the log`);
  log[at + offset] = (log[at + offset] as number) ^ 0x01;
  await writeFile(path, log);
}

test('a tag whose record is damaged is restored from the event in the same batch', async () => {
  await using rig = await Rig.open(buses);
  const image = await rig.gateway.pushImage(app, 'one', { tag: 'digit' });
  const named = await rig.gateway.pushImage(app, 'two', { tag: 'named' });
  await rig.stop();
  const record = `t!${app}!digit`;
  await flip(rig, record, record.length + 20);
  // This is not a key any more.
  await flip(rig, `t!${app}!named`, 1);
  const { lost, restored } = await repair(rig);
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

test('a name that only a damaged record has is not trusted', async () => {
  await using rig = await Rig.open(buses);
  const older = await rig.gateway.pushImage(app, 'older', { tag: 'v8' });
  await rig.gateway.pushImage(app, 'newer', { tag: 'v8' });
  await rig.stop();
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  const at = log.lastIndexOf(`t!${app}!v8`) + `t!${app}!v`.length;
  log[at] = (log[at] as number) ^ 0x01;
  // The event does not have the name either.
  const event = log.indexOf('tag.moved', at);
  log[event] = (log[event] as number) ^ 0x01;
  await writeFile(path, log);
  const { lost } = await repair(rig);
  assert.match(lost[0] ?? '', /some of their names cannot be read$/);
  await rig.start();
  assert.deepEqual(await tagsOf(rig, app), [{ tag: 'v8', digest: older }]);
});

test("a record that can't be restored is listed by name", async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(app, 'first', { tag: 'first' });
  const second = await rig.gateway.pushImage(app, 'second', { tag: 'second' });
  await rig.stop();
  // The tag points to another digest now, and its event is not an event any more.
  const record = `t!${app}!second`;
  await flip(rig, record, record.length + 20);
  await flip(rig, 'tag.moved', 0, record);
  const report = await repair(rig);
  assert.deepEqual(report.lost, [`tag ${app}:second`]);
  const text = await readFile(join(report.oldMetadata, '../report.txt'), 'utf8');
  assert.match(text, /Lost:\n {2}tag line\/app:second/);
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, second)), second, 'it can be read by its digest');
});

test('a readable record that is invalid is dropped and listed', async () => {
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
  const { lost } = await repair(rig, { force: true });
  for (const key of [`t!${app}!sick`, `b!${digest.slice(0, 20)}`, 'a!ci']) {
    assert.ok(lost.includes(`record ${key}: invalid`), `${key}: ${lost}`);
  }
  await rig.start();
  assert.deepEqual(
    (await tagsOf(rig, app)).map(({ tag }) => tag),
    ['well'],
  );
});

test('if all metadata is lost, content is kept and all access is refused', async () => {
  await using rig = await Rig.open(buses);
  const image = await rig.gateway.pushImage(app, 'kept', { tag: 'v1' });
  await rig.stop();
  await rm(join(rig.data, 'metadata'), { recursive: true });
  await assert.rejects(rig.start(), /has lost its metadata/);
  const { notes } = await repair(rig);
  assert.ok(notes.some((note) => /all access is refused until a token exists/.test(note)));
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(LOST_AND_FOUND, image)), image);
  const { manifests } = await rig.syncer.call(listUnsent, { limit: 10 });
  assert.deepEqual(manifests, [], 'nothing is sent to the parent');
  assert.equal((await rig.gateway.call(accountsStatus, {})).tokens, 1);
  assert.equal((await rig.gateway.call(storageStatus, {})).closed, true);
  await rig.storage.accounts.create({ name: 'ci', actions: ['repositories/*/content/read'] });
  await rig.storage.accounts.delete('ci');
  assert.equal(
    (await rig.gateway.call(accountsStatus, {})).tokens,
    0,
    'from then on the layer is as before the repair',
  );
});

test("content from clients can't forge a line of the report, or control a terminal", async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(app, 'forging');
  const annotations = { 'org.opencontainers.image.title': 'app\nLost:\n  all of it\u001b[2J\u202e' };
  await rig.gateway.pushManifest(app, imageOf('forging', { annotations }));
  await rig.stop();
  await rm(join(rig.data, 'metadata'), { recursive: true });
  const report = await repair(rig);
  const text = reportText(report);
  assert.match(text, /, app Lost: {3}all of it \[2J ,/);
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  assert.equal(text.match(/^Lost:$/gm)?.length, 1);
  assert.equal(await readFile(join(report.oldMetadata, '../report.txt'), 'utf8'), `${text}\n`);
});

test('a layer that had no accounts is open again if the operator says so', async () => {
  await using rig = await Rig.open(buses);
  await rig.stop();
  await rm(join(rig.data, 'metadata'), { recursive: true });
  await repair(rig, { open: true });
  await rig.start();
  assert.equal((await rig.gateway.call(accountsStatus, {})).tokens, 0);
});

test('an index restores its manifests, a missing one is listed as lost, and hints restore tags', async () => {
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
  const report = await repair(rig, { hints: [{ repository: app, digest, tag: 'hinted' }] });
  assert.ok(report.lost.some((line) => line.includes(two)));
  await rig.start();
  for (const reference of ['all', 'hinted']) {
    assert.equal(digestOf(await rig.gateway.readManifest(app, reference)), digest);
  }
  assert.equal(digestOf(await rig.gateway.readManifest(app, one)), one);
  await assert.rejects(rig.gateway.readManifest(app, two), fault('manifest-unknown'));
});

test('deleted tags stay deleted, and bases and cursors are reset', async () => {
  await using rig = await Rig.open(buses);
  for (let i = 0; i < 5; i += 1) {
    const digest = await rig.gateway.pushImage(app, `layer ${i}`, { tag: `v${i}` });
    await rig.syncer.call(setBase, { repository: app, tag: `v${i}`, digest });
  }
  await rig.gateway.call(deleteTag, { repository: app, tag: 'v3' });
  const { cursor } = await rig.gateway.call(listChanges, { limit: 10 });
  await rig.stop();
  await rm(join(rig.data, 'metadata/CURRENT'));
  await repair(rig);
  await rig.start();
  assert.deepEqual(
    (await tagsOf(rig, app)).map(({ tag }) => tag),
    ['v0', 'v1', 'v2', 'v4'],
  );
  const { tags: bases } = await rig.syncer.call(listBases, { repository: app, limit: 10 });
  assert.deepEqual(bases, [], 'neither the deletion of v3 nor anything else is sent to the parent');
  for (const after of [cursor, '0.']) {
    assert.equal((await rig.gateway.call(listChanges, { after, limit: 10 })).lost, true);
  }
});

test('an account whose deletion or last change may be lost is listed', async () => {
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
  const { lost } = await repair(rig);
  assert.deepEqual(lost.filter((line) => /token/.test(line)).sort(), [
    'the deletion of token deleted: it exists again',
    'the last change of token disabled: it has its previous value',
  ]);
});

test('the newest of several values of a key counts, for any numbers of the tables', async () => {
  await using rig = await Rig.open(buses);
  await rig.storage.accounts.create({ name: 'deleted', actions: ['repositories/*/content/read'] });
  await rig.gateway.pushImage(app, 'older', { tag: 'v1' });
  // The restart moves what was written so far to a table.
  await rig.restart();
  await rig.storage.accounts.delete('deleted');
  const newer = await rig.gateway.pushImage(app, 'newer', { tag: 'v1' });
  await rig.stop();
  const folder = join(rig.data, 'metadata');
  await rename(await fileOf(rig, '.ldb'), join(folder, '000099.ldb'));
  const log = await fileOf(rig, '.log');
  await rename(await tableOf(log, join(rig.data, 'converted')), join(folder, '000002.ldb'));
  await Promise.all([rm(log), rm(join(folder, 'CURRENT'))]);
  const { restored } = await repair(rig, { open: true });
  assert.deepEqual(restored, [], 'the tag points to the newer manifest without any hint');
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), newer);
  await assert.rejects(rig.storage.accounts.change({ name: 'deleted' }), fault('account-unknown'));
});

test('a table stays although the end of the manifest that names it is cut off', async () => {
  await using rig = await Rig.open(buses);
  const inTable = await rig.gateway.pushImage(app, 'tabled', { tag: 'v1' });
  // The restart moves what was written so far to a table.
  await rig.restart();
  await rig.gateway.pushImage(app, 'logged', { tag: 'v2' });
  await rig.stop();
  const folder = join(rig.data, 'metadata');
  const path = join(folder, (await readFile(join(folder, 'CURRENT'), 'utf8')).trim());
  const manifest = await readFile(path);
  await writeFile(path, manifest.subarray(0, -10));
  await assert.rejects(rig.start(), fault('volume-unusable'));
  const { lost, restored } = await repair(rig);
  assert.deepEqual([lost, restored], [[], []]);
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), inTable);
});

test('a repair touches neither running storage nor undamaged metadata', async () => {
  await using rig = await Rig.open(buses);
  const options = { data: rig.data, hints: [], open: false, force: false, now };
  await assert.rejects(repairMetadata(options), fault('busy'));
  const digest = await rig.gateway.pushImage(app, 'whole', { tag: 'v1' });
  await rig.stop();
  assert.deepEqual(await repairMetadata(options), { kind: 'intact' });
  const report = await repair(rig, { force: true });
  assert.deepEqual([report.damage, report.lost, report.restored], [[], [], []]);
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), digest);
});

test('an interrupted repair is restarted or finished', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(app, 'cut', { tag: 'v1' });
  await rig.stop();
  await rm(join(rig.data, 'metadata/CURRENT'));
  const interrupted = join(rig.data, 'repair/2029-01-01');
  await mkdir(join(interrupted, 'rebuilt'), { recursive: true });
  await writeFile(join(interrupted, 'rebuilt/000001.log'), 'half');
  const { oldMetadata } = await repair(rig);
  await assert.rejects(stat(interrupted), { code: 'ENOENT' });
  // As after a power loss between the last two steps.
  await rename(join(rig.data, 'metadata'), join(oldMetadata, '../rebuilt'));
  const options = { data: rig.data, hints: [], open: false, force: false, now };
  assert.deepEqual(await repairMetadata(options), { kind: 'finished', folder: join(oldMetadata, '..') });
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), digest);
});

test('the net effect of hints counts', () => {
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

test('of the moves of a tag in damaged bytes, the last one counts, and digests without content are ignored', () => {
  const [one, two, none] = ['1', '2', '3'].map((digit) => `sha256:${digit.repeat(64)}`) as [
    string,
    string,
    string,
  ];
  const move = (digest: string, eventDigest: string): Remnant[] => [
    { key: `t!${app}!v1`, deleted: false, value: digest },
    {
      key: 'e!0000000000000007',
      deleted: false,
      value: {
        type: tagMoved.type,
        data: { repository: app, tag: 'v1', digest: eventDigest, mediaType: 'a/b' },
      },
    },
  ];
  const last = (...remnants: Remnant[]) =>
    hintsIn(remnants, (digest) => digest !== none).hints.map(({ digest }) => digest);
  assert.deepEqual(last(...move(one, one), ...move(two, two)), [two]);
  assert.deepEqual(last(...move(one, none)), [one]);
  assert.deepEqual(last(...move(none, one)), [one]);
  assert.deepEqual(
    last(...move(one, one), { key: `t!${app}!v1`, deleted: true }),
    [],
    'the tag is deleted last',
  );
  assert.deepEqual(last({ key: `t!${app}!v1`, deleted: false, value: one }), []);
});

test('hints from damaged bytes follow the events if the bytes have a later outbox record than the oldest one', () => {
  const hint = (digit: number) => ({ repository: app, digest: `sha256:${String(digit).repeat(64)}` });
  const damaged = (digit: number, serial?: number) => ({
    hints: [hint(digit)],
    serial,
    named: [],
    unconfirmed: false,
  });
  const order = (...outbox: number[]) =>
    inOrder(
      [damaged(1), damaged(2, 20), damaged(3, 40)],
      [hint(4)],
      outbox.map((serial) => ({ serial, hint: hint(serial / 10) })),
    ).map(({ digest }) => Number(digest.at(-1)));
  assert.deepEqual(order(), [1, 2, 3, 4]);
  assert.deepEqual(order(30, 50), [1, 2, 4, 3, 3, 5]);
  assert.deepEqual(order(10), [1, 4, 1, 2, 3]);
});

const seed = Number(process.env.TERRACE_SEED) || Date.now() % 1_000_000;
test(`after damage anywhere, all content is present, and tags point to earlier targets only (seed ${seed})`, async () => {
  const draw = randomNumbers(seed);
  const upTo = (limit: number) => Math.floor(draw() * limit);
  for (let round = 0; round < 3; round += 1) {
    await using rig = await Rig.open(buses);
    const targets = new Map<string, Set<string>>();
    const last = new Map<string, string>();
    for (let i = 0; i < 30; i += 1) {
      const [repository, tag] = [`app-${upTo(3)}`, `v${upTo(12)}`];
      const digest = await rig.gateway.pushImage(repository, `content ${round} ${i}`, { tag });
      targets.set(`${repository}:${tag}`, (targets.get(`${repository}:${tag}`) ?? new Set()).add(digest));
      last.set(`${repository}:${tag}`, digest);
      // Some records are in tables, the others in the log.
      if (i === 10) await rig.restart();
    }
    await rig.stop();
    const folder = join(rig.data, 'metadata');
    for (const name of (await readdir(folder)).filter((each) => /^\d|^MANIFEST|^CURRENT/.test(each))) {
      const bytes = await readFile(join(folder, name));
      for (let hit = 0; hit < 2 && draw() < 0.7; hit += 1) bytes[upTo(bytes.length)] = upTo(256);
      await writeFile(join(folder, name), bytes);
    }
    const { lost } = await repair(rig, { force: true });
    await rig.start();
    for (const repository of ['app-0', 'app-1', 'app-2']) {
      for (const { tag } of await tagsOf(rig, repository).catch(() => [])) {
        assert.ok(targets.has(`${repository}:${tag}`), `there never was a tag ${repository}:${tag}`);
      }
    }
    for (const [name, digests] of targets) {
      const [repository = '', tag = ''] = name.split(':');
      const tags = await tagsOf(rig, repository).catch(() => []);
      const found = tags.find((entry) => entry.tag === tag)?.digest;
      assert.ok(found === undefined || digests.has(found), `${name} points to ${found}`);
      if (found !== last.get(name)) {
        assert.ok(
          lost.some((line) => line.includes(name)) || lost.length > 0,
          `${name} is lost, but not listed`,
        );
      }
      for (const digest of digests) {
        const homes = [repository, LOST_AND_FOUND].map((home) =>
          rig.gateway.readManifest(home, digest).then(digestOf, () => undefined),
        );
        assert.ok((await Promise.all(homes)).includes(digest), `${name}@${digest} is missing`);
      }
    }
  }
});

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  EVERY_MANIFEST,
  type LeftOutRecord,
  type LeftOutReferrer,
  listRecorded,
  MAX_RECORDED,
  MAX_RECORDED_REASON,
  recordLeftOut,
} from '#proto/content/left-out-referrers.ts';
import { deleteManifest, deleteSynchronized, listReferrers } from '#proto/content/manifests.ts';
import { takeTerm } from '#proto/content/terms.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { listChanges } from '#proto/sync/changes.ts';
import { RebuiltRecords } from '../../../services/storage/repair/rebuilt-records.ts';
import { repair } from '../repair/repair-rig.ts';
import { bytesOf, descriptorOf, digestOf, fault, imageOf, jsonOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** Records of referrers that are left out: whom they are named to, and when they end. */

const buses = await sharedBuses();

const repository = 'lib/app';
const missing = (digest: string): LeftOutReferrer => ({
  kind: 'referrer',
  digest,
  code: 'manifest-unknown',
  reason: `the parent has no manifest ${digest}`,
});
const recordOf = (...digests: string[]): LeftOutRecord => ({
  count: digests.length,
  first: digests.map(missing),
});
const hidden: LeftOutRecord = {
  count: 1,
  first: [{ kind: 'referrers', code: 'parent-refused', reason: '403' }],
};
const [one, two] = [digestOf(bytesOf('one')), digestOf(bytesOf('two'))];
const record = (rig: Rig, subject: string, what: LeftOutRecord, more: { term?: number } = {}) =>
  rig.syncer.call(recordLeftOut, { repository, subject, ...what, ...more });
const recorded = async (rig: Rig) => (await rig.syncer.call(listRecorded, { limit: 100 })).records;
const listed = (rig: Rig, digest: string, more: { artifactType?: string; after?: string } = {}) =>
  rig.gateway.call(listReferrers, { repository, digest, limit: 100, ...more });
const changesSince = async (rig: Rig, cursor?: string) => {
  const { changes, ...page } = await rig.gateway.call(listChanges, {
    limit: 100,
    ...(cursor !== undefined && { after: cursor }),
  });
  return { around: changes.flatMap((change) => ('around' in change ? change.around : [])), ...page };
};

test('the first page of a list of referrers says what it lacks, with any filter, also after a restart', async () => {
  await using rig = await Rig.open(buses);
  const subject = await rig.gateway.pushImage(repository, 'image', { arrived: true });
  assert.equal((await listed(rig, subject)).leftOut, undefined);
  await record(rig, subject, recordOf(one, two));
  assert.deepEqual((await listed(rig, subject)).leftOut, recordOf(one, two));
  await rig.restart();
  assert.deepEqual((await listed(rig, subject, { artifactType: 'none' })).leftOut, recordOf(one, two));
  assert.equal((await listed(rig, subject, { after: one })).leftOut, undefined);
  await record(rig, EVERY_MANIFEST, hidden);
  const why = { code: 'parent-refused', reason: '403' };
  assert.deepEqual((await listed(rig, subject)).leftOut, { ...recordOf(one, two), hidden: why });
  assert.deepEqual((await listed(rig, one)).leftOut, { count: 0, first: [], hidden: why });
  await record(rig, subject, recordOf());
  await record(rig, EVERY_MANIFEST, recordOf());
  assert.equal((await listed(rig, subject)).leftOut, undefined);
});

test('each change of a record enters the journal, and an equal record is not written', async () => {
  await using rig = await Rig.open(buses);
  const subject = await rig.gateway.pushImage(repository, 'image', { arrived: true });
  let { cursor } = await changesSince(rig);
  const around = async (what: LeftOutRecord, of = subject) => {
    await record(rig, of, what);
    const since = await changesSince(rig, cursor);
    cursor = since.cursor;
    return since.around;
  };
  assert.deepEqual(await around(recordOf()), []);
  assert.deepEqual(await around(recordOf(one)), [subject]);
  assert.deepEqual(await around(recordOf(one)), []);
  assert.deepEqual(await around(recordOf(two)), [subject]);
  assert.deepEqual(await around(hidden, EVERY_MANIFEST), [EVERY_MANIFEST]);
  assert.deepEqual(await around(recordOf()), [subject]);
});

test('a referrer that is put is not left out, in the same batch', async () => {
  await using rig = await Rig.open(buses);
  const image = jsonOf(imageOf('image'));
  const subject = await rig.gateway.pushImage(repository, 'image', { arrived: true });
  const note = imageOf('image', { subject: descriptorOf(image, mediaTypes.ociManifest) });
  const digest = digestOf(jsonOf(note));
  await record(rig, subject, { ...recordOf(one, digest), count: 5 });
  await rig.syncer.pushManifest(repository, note, { arrived: true });
  assert.deepEqual((await listed(rig, subject)).leftOut, { ...recordOf(one), count: 4 });
  await record(rig, subject, recordOf(digest));
  await rig.syncer.pushManifest(repository, note, { arrived: true });
  assert.deepEqual(await recorded(rig), []);
});

test('a record ends with its manifest, and that of a repository with the repository', async () => {
  await using rig = await Rig.open(buses);
  await record(rig, one, recordOf(two));
  await record(rig, EVERY_MANIFEST, hidden);
  assert.deepEqual(await recorded(rig), [], 'a subject that is not here has no record');
  const fill = async () => {
    const subject = await rig.gateway.pushImage(repository, 'image', { arrived: true });
    await record(rig, subject, recordOf(one));
    await record(rig, EVERY_MANIFEST, hidden);
    return subject;
  };
  await rig.gateway.call(deleteManifest, { repository, digest: await fill(), arrived: true });
  assert.deepEqual(
    (await recorded(rig)).map(({ subject }) => subject),
    [EVERY_MANIFEST],
  );
  rig.now += 2 * 86_400_000;
  await rig.storage.garbage.collect(true);
  assert.equal((await recorded(rig)).length, 1, 'a dry run deletes nothing');
  await rig.storage.garbage.collect(false);
  assert.deepEqual(await recorded(rig), []);
  await fill();
  await rig.syncer.call(deleteSynchronized, { repository });
  assert.deepEqual(await recorded(rig), []);
});

test('a record has a bound, and only the current coordinator writes one', async () => {
  await using rig = await Rig.open(buses);
  const subject = await rig.gateway.pushImage(repository, 'image', { arrived: true });
  const first = Array.from({ length: MAX_RECORDED }, () => ({
    ...missing(one),
    reason: '€'.repeat(MAX_RECORDED_REASON),
  }));
  await record(rig, subject, { count: 1_000, first });
  assert.equal((await listed(rig, subject)).leftOut?.count, 1_000);
  await assert.rejects(
    record(rig, subject, { count: 21, first: [...first, missing(two)] }),
    fault('malformed'),
  );
  const { term } = await rig.syncer.call(takeTerm, { by: 'syncer-1' });
  await rig.syncer.call(takeTerm, { by: 'syncer-2' });
  await assert.rejects(record(rig, subject, recordOf(), { term }), fault('claim-lost'));
});

test('pages of records continue after the last one', async () => {
  await using rig = await Rig.open(buses);
  const first = Array.from({ length: MAX_RECORDED }, () => ({
    ...missing(one),
    reason: 'x'.repeat(MAX_RECORDED_REASON),
  }));
  const subjects: string[] = [];
  for (let n = 0; n < 40; n += 1) {
    const subject = await rig.gateway.pushImage(repository, `image ${n}`, { arrived: true });
    await record(rig, subject, { count: MAX_RECORDED, first });
    subjects.push(subject);
  }
  const found: string[] = [];
  let pages = 0;
  for (let cursor: string | undefined, more = true; more; pages += 1) {
    const page = await rig.syncer.call(listRecorded, { limit: 1_000, ...(cursor && { after: cursor }) });
    found.push(...page.records.map(({ subject }) => subject));
    cursor = `${repository}!${found.at(-1)}`;
    more = page.more;
  }
  assert.ok(pages > 1, 'a page fits in a message');
  assert.deepEqual(found, subjects.toSorted());
});

test('a repair keeps the records of what is here, and drops those of lost manifests', async () => {
  await using rig = await Rig.open(buses);
  const subject = await rig.gateway.pushImage(repository, 'image', { arrived: true });
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] as object[] };
  const absent = { mediaType: mediaTypes.ociManifest, digest: one, size: 3 };
  await rig.syncer.pushManifest(
    repository,
    { ...index, manifests: [absent] },
    {
      mediaType: mediaTypes.ociIndex,
      arrived: true,
      leftOut: [{ digest: one, platform: 'linux/arm64', unavailable: true }],
    },
  );
  await record(rig, subject, recordOf(one));
  await record(rig, EVERY_MANIFEST, hidden);
  await rig.stop();
  {
    await using records = await RebuiltRecords.open(join(rig.data, 'metadata'));
    await records.write([{ type: 'put', key: `q!${repository}!${two}`, value: recordOf(one) }]);
  }
  const { lost } = await repair(rig, { force: true });
  assert.deepEqual(lost, [], 'a child that the parent does not provide is no invalid record');
  await rig.start();
  assert.deepEqual(
    (await recorded(rig)).map((each) => each.subject),
    [EVERY_MANIFEST, subject],
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeTerm } from '#proto/content/terms.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { listMarks, listSubjects, storeMarks } from '#proto/sync/marks.ts';
import { Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** The reported state of the parent's repositories, as stored for the syncers. */

const buses = await sharedBuses();

const mark = (tags: number) => ({ updated: '2026-01-01T00:00:00.1234567Z', manifests: tags, tags });
const list = (rig: Rig, scopeHash: string) => rig.syncer.call(listMarks, { scopeHash, limit: 500 });

test('marks are stored by repository over a restart, and replace those of another scope', async () => {
  await using rig = await Rig.open(buses);
  const store = (scopeHash: string, marks: [string, number | null][]) =>
    rig.syncer.call(storeMarks, {
      scopeHash,
      marks: marks.map(([repository, tags]) => ({ repository, mark: tags === null ? null : mark(tags) })),
    });
  await store('one', [
    ['b', 1],
    ['a/x', 2],
    ['a', 3],
  ]);
  await store('one', [
    ['b', 4],
    ['a', null],
  ]);
  await rig.restart();
  const { marks, more } = await list(rig, 'one');
  assert.deepEqual(
    marks.map(({ repository, mark: { tags } }) => [repository, tags]),
    [
      ['a/x', 2],
      ['b', 4],
    ],
  );
  assert.equal(more, false);
  assert.deepEqual((await list(rig, 'other')).marks, []);
  await store('other', [['c', 1]]);
  assert.deepEqual((await list(rig, 'one')).marks, []);
  const page = await rig.syncer.call(listMarks, { scopeHash: 'other', limit: 1, after: 'c' });
  assert.deepEqual(page.marks, []);
});

test('a pass of an earlier term stores no marks', async () => {
  await using rig = await Rig.open(buses);
  const { term } = await rig.syncer.call(takeTerm, { by: 'one' });
  await rig.syncer.call(takeTerm, { by: 'two' });
  const late = rig.syncer.call(storeMarks, {
    scopeHash: 'one',
    marks: [{ repository: 'a', mark: mark(1) }],
    term,
  });
  await assert.rejects(late, { code: 'claim-lost' });
  assert.deepEqual((await list(rig, 'one')).marks, []);
});

test('the referrers of a repository are listed in pages, with their subjects', async () => {
  await using rig = await Rig.open(buses);
  const put = (name: string, subject?: string) =>
    rig.gateway.pushManifest(
      'app',
      {
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: [],
        annotations: { name },
        ...(subject && { subject: { mediaType: mediaTypes.ociIndex, digest: subject, size: 10 } }),
      },
      { mediaType: mediaTypes.ociIndex },
    );
  const subject = await put('image');
  const own = [await put('one', subject), await put('two', subject)].sort();
  const found: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await rig.syncer.call(listSubjects, {
      repository: 'app',
      limit: 1,
      ...(after && { after }),
    });
    for (const referrer of page.referrers) {
      assert.equal(referrer.subject, subject);
      found.push(referrer.digest);
      after = `${referrer.subject}!${referrer.digest}`;
    }
    if (!page.more) break;
  }
  assert.deepEqual(found, own);
});

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Level } from 'level';
import { linkBlobs, repositoriesOfBlob, unlinkBlob } from '#proto/content/blobs.ts';
import { claimTransfer } from '#proto/content/ingests.ts';
import {
  deleteManifest,
  deleteSynchronized,
  deleteTag,
  getManifest,
  listBases,
  putManifest,
  putTag,
  setBase,
} from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import {
  dropSession,
  getSession,
  listParked,
  listUnsent,
  listWithdrawn,
  type Parked,
  park,
  recordParent,
  settleOutgoing,
  storeSession,
  unpark,
} from '#proto/sync/outgoing.ts';
import { type Buses, bytesOf, connectAll, digestOf, fault, imageOf, jsonOf, Rig } from '../rig.ts';

let buses: Buses;
before(async () => {
  buses = await connectAll();
});
after(() => buses.server[Symbol.asyncDispose]());

const repository = 'lib/app';
const unsent = async (rig: Rig) => (await rig.syncer.call(listUnsent, { limit: 100 })).manifests;
const withdrawn = async (rig: Rig) => (await rig.syncer.call(listWithdrawn, { limit: 100 })).manifests;
/** Digests only. */
const pending = async (rig: Rig) => ({
  unsent: (await unsent(rig)).map(({ digest }) => digest),
  withdrawn: (await withdrawn(rig)).map(({ digest }) => digest),
});
const put = (rig: Rig, text: string, more: { arrived?: boolean; tag?: string } = {}) =>
  rig.gateway.pushImage(repository, text, more);
const remove = (rig: Rig, digest: string, arrived?: boolean) =>
  rig.gateway.call(deleteManifest, { repository, digest, ...(arrived !== undefined && { arrived }) });
const settle = (rig: Rig, digest: string, until?: number) =>
  rig.syncer.call(settleOutgoing, { repository, digests: [digest], ...(until !== undefined && { until }) });

test('a manifest that a client puts is unsent until the parent has it; one that arrives is not', async () => {
  await using rig = await Rig.open(buses);
  const own = await put(rig, 'own', { tag: 'v1' });
  await put(rig, 'arrived', { arrived: true });
  assert.deepEqual(await unsent(rig), [{ repository, digest: own, since: rig.now }]);
  await put(rig, 'own', { arrived: true });
  assert.deepEqual(await unsent(rig), []);
  // The parent has it: putting or tagging it again leaves nothing unsent.
  await put(rig, 'own', { tag: 'v2' });
  await put(rig, 'arrived');
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
});

test('later changes have larger instants, across restarts and after the clock is set back', async () => {
  await using rig = await Rig.open(buses);
  const digests: string[] = [];
  for (const text of ['a', 'b', 'c']) digests.push(await put(rig, text));
  rig.now -= 60_000;
  await rig.restart();
  for (const text of ['d', 'e']) digests.push(await put(rig, text));
  await rig.restart();
  rig.now += 120_000;
  digests.push(await put(rig, 'f'));
  const found = await unsent(rig);
  const ordered = found.toSorted((a, b) => a.since - b.since).map(({ digest }) => digest);
  assert.deepEqual(ordered, digests);
  assert.equal(new Set(found.map(({ since }) => since)).size, digests.length);
  // An unsent manifest that is put again keeps its instant.
  await put(rig, 'b');
  assert.deepEqual(await unsent(rig), found);
});

test('a deleted manifest is withdrawn if the parent has it or may have it', async () => {
  await using rig = await Rig.open(buses);
  const never = await put(rig, 'never sent');
  await remove(rig, never);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });

  const agreed = await put(rig, 'agreed', { arrived: true });
  await remove(rig, agreed);
  assert.deepEqual(await withdrawn(rig), [{ repository, digest: agreed, since: rig.now + 1 }]);
  // The parent may have received the deletion by now, or not.
  await put(rig, 'agreed');
  assert.deepEqual(await pending(rig), { unsent: [agreed], withdrawn: [] });
  await remove(rig, agreed);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [agreed] });
  await put(rig, 'agreed', { arrived: true });
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });

  await remove(rig, agreed, true);
  const other = await put(rig, 'other');
  await remove(rig, other, true);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
});

test('settling clears the changes that were sent, and keeps those that a client made meanwhile', async () => {
  await using rig = await Rig.open(buses);
  const sent = await put(rig, 'sent');
  await settle(rig, sent);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
  await remove(rig, sent);
  const seen = (await withdrawn(rig))[0]!.since;
  // It is put again while the deletion is sent to the parent.
  await put(rig, 'sent');
  await settle(rig, sent, seen);
  assert.deepEqual(await pending(rig), { unsent: [sent], withdrawn: [] });
  await settle(rig, sent, (await unsent(rig))[0]!.since);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
  await remove(rig, sent);
  await settle(rig, sent);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
  await settle(rig, digestOf(bytesOf('never seen')));
});

test('a manifest that a client deletes while it is sent is withdrawn', async () => {
  await using rig = await Rig.open(buses);
  const [deleted, other] = [await put(rig, 'gone'), await put(rig, 'kept')];
  const until = (await unsent(rig)).reduce((last, { since }) => Math.max(last, since), 0);
  await remove(rig, deleted);
  const sent = { repository, digests: [deleted, other], until, sent: true };
  for (let i = 0; i < 2; i += 1) await rig.syncer.call(settleOutgoing, sent);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [deleted] });
  await settle(rig, deleted, (await withdrawn(rig))[0]!.since);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
});

test('a put that is repeated after its answer was lost does not make a settled manifest unsent', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, bytesOf('layer'));
  const bytes = jsonOf(imageOf('layer'));
  const digest = digestOf(bytes);
  const { id, claim } = await rig.gateway.uploaded(repository, bytes);
  const query = { repository, digest, mediaType: mediaTypes.ociManifest, id, claim, tag: 'v' };
  const answer = await rig.gateway.call(putManifest, query);
  assert.deepEqual((await pending(rig)).unsent, [digest]);
  await settle(rig, digest);
  assert.deepEqual(await rig.gateway.call(putManifest, query), answer);
  assert.deepEqual((await pending(rig)).unsent, []);
});

test('outgoing changes are listed in pages over all repositories, and counted, also after a restart', async () => {
  await using rig = await Rig.open(buses);
  const expected: string[] = [];
  for (const name of ['lib/app', 'lib/app-2', 'lib/app/sub']) {
    for (const text of ['one', 'two', 'three']) {
      expected.push(`${name}!${await rig.gateway.pushImage(name, text)}`);
    }
  }
  const collect = async (contract: typeof listUnsent) => {
    const all: string[] = [];
    for (let more = true; more; ) {
      const last = all.at(-1);
      const query = { limit: 2, ...(last !== undefined && { after: last }) };
      const page = await rig.syncer.call(contract, query);
      all.push(...page.manifests.map((each) => `${each.repository}!${each.digest}`));
      more = page.more;
    }
    return all;
  };
  assert.deepEqual(await collect(listUnsent), expected.toSorted());
  for (const key of expected.slice(0, 5)) {
    const [name, digest] = key.split('!') as [string, string];
    await rig.syncer.call(settleOutgoing, { repository: name, digests: [digest] });
    await rig.gateway.call(deleteManifest, { repository: name, digest });
  }
  assert.deepEqual(await collect(listWithdrawn), expected.slice(0, 5).toSorted());
  const counts = { unsent: 4, withdrawn: 5, parked: 0 };
  assert.deepEqual((await rig.gateway.call(storageStatus, {})).outgoing, counts);
  await rig.restart();
  assert.deepEqual((await rig.gateway.call(storageStatus, {})).outgoing, counts);
});

test('garbage collection keeps unsent manifests and the records of withdrawn ones', async () => {
  await using rig = await Rig.open(buses);
  const own = await put(rig, 'untagged');
  const agreed = await rig.gateway.pushImage('lib/gone', 'agreed', { arrived: true });
  await rig.gateway.call(deleteManifest, { repository: 'lib/gone', digest: agreed });
  rig.now += 40 * 86_400_000;
  await rig.storage.garbage.collect(false);
  assert.deepEqual(await pending(rig), { unsent: [own], withdrawn: [agreed] });
  assert.equal((await rig.gateway.call(getManifest, { repository, reference: own })).digest, own);
  assert.equal((await rig.gateway.read(repository, digestOf(bytesOf('untagged')))).byteLength, 8);
});

test('a refused change is parked once per reference, and stays parked over a restart', async () => {
  await using rig = await Rig.open(buses);
  const digest = digestOf(bytesOf('some manifest'));
  const refusal = { code: 'denied', reason: 'no', since: 1, attempts: 1, retry: 2 };
  const [ofTag, ofManifest, ofOther]: [Parked, Parked, Parked] = [
    { repository, reference: 'v1', digest, ...refusal },
    { repository, reference: digest, digest, ...refusal },
    { repository: 'lib/app-2', reference: 'v1', ...refusal },
  ];
  for (const each of [ofOther, ofTag, ofManifest]) await rig.syncer.call(park, each);
  await rig.syncer.call(park, { ...ofTag, attempts: 2, retry: 9 });
  await rig.restart();
  const list = (limit: number, last?: string) =>
    rig.syncer.call(listParked, { limit, ...(last !== undefined && { after: last }) });
  const again = { ...ofTag, attempts: 2, retry: 9 };
  assert.deepEqual(await list(2), { parked: [ofManifest, again], more: true });
  assert.deepEqual(await list(2, `${repository}!v1`), { parked: [ofOther], more: false });
  const parked = async () => (await rig.gateway.call(storageStatus, {})).outgoing.parked;
  assert.equal(await parked(), 3);
  for (let i = 0; i < 2; i += 1) await rig.syncer.call(unpark, { repository, reference: 'v1' });
  assert.deepEqual((await list(9)).parked, [ofManifest, ofOther]);
  assert.equal(await parked(), 2);
});

test('a page of parked changes fits into a message, also with long reasons of the parent', async () => {
  await using rig = await Rig.open(buses);
  const refusal = { code: 'denied', reason: 'no \u2713 '.repeat(800), since: 1, attempts: 1, retry: 2 };
  const references = Array.from({ length: 300 }, (_, at) => `v${1_000 + at}`);
  for (const reference of references) await rig.storage.outgoing.park({ repository, reference, ...refusal });
  const found: string[] = [];
  for (let after: string | undefined; ; after = `${repository}!${found.at(-1)}`) {
    const { parked, more } = await rig.syncer.call(listParked, { limit: 1_000, ...(after && { after }) });
    found.push(...parked.map(({ reference }) => reference));
    if (!more) break;
  }
  assert.deepEqual(found, references);
});

test('an upload session is kept across a restart until it is dropped, or its blob is unlinked', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.push(repository, bytesOf('large'));
  const key = { repository, digest };
  const get = async () => (await rig.syncer.call(getSession, key)).location;
  assert.equal(await get(), undefined);
  await rig.syncer.call(storeSession, { ...key, location: '/v2/x/blobs/uploads/1' });
  const location = `https://registry.example/v2/x/blobs/uploads/2?_state=${'x'.repeat(6_000)}`;
  await rig.syncer.call(storeSession, { ...key, location });
  await rig.restart();
  assert.equal(await get(), location);
  await rig.syncer.call(dropSession, key);
  await rig.syncer.call(dropSession, key);
  assert.equal(await get(), undefined);
  await rig.syncer.call(storeSession, { ...key, location });
  await rig.gateway.call(unlinkBlob, key);
  assert.equal(await get(), undefined);
});

test('the repositories of a blob are listed in order, up to the limit', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.push('lib/b', bytesOf('shared'));
  await rig.gateway.push('lib/none', bytesOf('other'));
  for (const name of ['lib/c', 'lib/a']) {
    await rig.gateway.call(linkBlobs, { repository: name, digests: [digest] });
  }
  const repositoriesOf = async (limit: number, name = digest) =>
    (await rig.syncer.call(repositoriesOfBlob, { digest: name, limit })).repositories;
  assert.deepEqual(await repositoriesOf(9), ['lib/a', 'lib/b', 'lib/c']);
  assert.deepEqual(await repositoriesOf(2), ['lib/a', 'lib/b']);
  assert.deepEqual(await repositoriesOf(9, digestOf(bytesOf('unknown'))), []);
});

test('events mark the changes that came from the parent', async () => {
  await using rig = await Rig.open(buses);
  const one = await put(rig, 'one', { arrived: true, tag: 'a' });
  await rig.syncer.call(putTag, { repository, tag: 'b', digest: one, base: true });
  await rig.gateway.call(putTag, { repository, tag: 'c', digest: one });
  await rig.syncer.call(deleteTag, { repository, tag: 'b', base: true });
  await rig.gateway.call(deleteTag, { repository, tag: 'c' });
  await remove(rig, one, true);
  await remove(rig, await put(rig, 'two', { tag: 'd' }));
  const published = rig.events
    .filter(([type]) => /^(tag|manifest)/.test(type))
    .map(([type, data]) => {
      const { tag, arrived } = data as { tag?: string; arrived?: boolean };
      return `${type} ${tag ?? ''} ${arrived ?? ''}`.replace(/ +/g, ' ').trim();
    });
  assert.deepEqual(published, [
    'manifest.committed true',
    'tag.moved a true',
    'tag.moved b true',
    'tag.moved c',
    'tag.deleted b true',
    'tag.deleted c',
    'tag.deleted a true',
    'manifest.deleted true',
    'manifest.committed',
    'tag.moved d',
    'tag.deleted d',
    'manifest.deleted',
  ]);
});

test('a manifest that arrived as a transfer and is put by the syncer is not unsent', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, bytesOf('{}'));
  await rig.gateway.push(repository, bytesOf('layer'));
  const bytes = jsonOf(imageOf('layer'));
  const digest = digestOf(bytes);
  const { id, claim } = await rig.syncer.call(claimTransfer, { digest, size: bytes.byteLength, by: 's' });
  await rig.syncer.write({ id, claim, path: `ingest/${id}`, offset: 0 }, bytes);
  const mediaType = mediaTypes.ociManifest;
  await rig.syncer.call(putManifest, { repository, digest, mediaType, id, claim, arrived: true });
  assert.deepEqual(await unsent(rig), []);
});

/** Restarts storage on a data volume of version 1, without outgoing records other than those that `keep` selects. */
async function restartAsVersion1(rig: Rig, keep: (key: string) => boolean): Promise<void> {
  await rig.stop();
  const db = new Level<string, unknown>(join(rig.data, 'metadata'), { valueEncoding: 'json' });
  for await (const key of db.keys()) if (/^[uv]!/.test(key) && !keep(key)) await db.del(key);
  await db.put('x!version', 1);
  await db.close();
  await rig.start();
}

test('in a data volume of version 1 all manifests become unsent, once; an interrupted migration is resumed', async () => {
  await using rig = await Rig.open(buses);
  const digests: string[] = [];
  for (const text of ['a', 'b', 'c']) digests.push(await put(rig, text, { arrived: true }));
  await restartAsVersion1(rig, () => false);
  assert.deepEqual((await pending(rig)).unsent, digests.toSorted());
  assert.equal((await rig.gateway.call(storageStatus, {})).outgoing.unsent, 3);
  await restartAsVersion1(rig, (key) => key.endsWith(digests[1]!));
  assert.deepEqual((await pending(rig)).unsent, digests.toSorted());
  const sinces = (await unsent(rig)).map(({ since }) => since);
  assert.equal(new Set(sinces).size, 3);

  // The parent may have it, so its deletion is sent.
  await remove(rig, digests[0]!);
  assert.deepEqual((await pending(rig)).withdrawn, [digests[0]]);
  await settle(rig, digests[1]!);
  await rig.restart();
  assert.deepEqual((await pending(rig)).unsent, [digests[2]]);

  // No record says that a client put it: it is deleted with its repository.
  const deleted = await rig.syncer.call(deleteSynchronized, { repository });
  assert.deepEqual(deleted, { tags: 0, manifests: 2 });
});

test('another parent resets the bases and makes all manifests unsent, unless `forget` is false', async () => {
  await using rig = await Rig.open(buses);
  const digest = await put(rig, 'agreed', { tag: 'v1', arrived: true });
  const other = await put(rig, 'deleted', { arrived: true });
  await remove(rig, other);
  await rig.syncer.call(setBase, { repository, tag: 'v1', digest });
  const recordMeeting = async (parent: string, forget: boolean) =>
    (await rig.syncer.call(recordParent, { parent, forget })).forgotten;
  const bases = async () => (await rig.syncer.call(listBases, { repository, limit: 9 })).tags.length;
  assert.equal(await recordMeeting('one.example', true), false);
  assert.equal(await recordMeeting('one.example', true), false);
  assert.equal(await recordMeeting('two.example:5000', false), false);
  assert.deepEqual([await bases(), await pending(rig)], [1, { unsent: [], withdrawn: [other] }]);
  await rig.restart();
  assert.equal(await recordMeeting('three.example', true), true);
  assert.deepEqual([await bases(), await pending(rig)], [0, { unsent: [digest], withdrawn: [] }]);
  assert.equal((await unsent(rig))[0]?.unknownOrigin, true);
  await settle(rig, digest);
  assert.equal(await recordMeeting('three.example', true), false);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
});

test('after a repair of the parent, which may lack content, the bases are reset, in any mode', async () => {
  await using rig = await Rig.open(buses);
  const digest = await put(rig, 'one', { tag: 'v1', arrived: true });
  const bases = async () => (await rig.syncer.call(listBases, { repository, limit: 9 })).tags.length;
  const recordMeeting = async (repaired?: string) => {
    await rig.syncer.call(setBase, { repository, tag: 'v1', digest });
    const query = { parent: 'one.example', forget: false, ...(repaired !== undefined && { repaired }) };
    const { forgotten } = await rig.syncer.call(recordParent, query);
    assert.equal(await bases(), forgotten ? 0 : 1);
    return forgotten;
  };
  assert.equal(await recordMeeting(), false);
  assert.equal(await recordMeeting(''), false, 'it was never repaired');
  assert.equal(await recordMeeting('ab12'), true);
  assert.deepEqual(
    [await recordMeeting('ab12'), await recordMeeting()],
    [false, false],
    'the repair is known, or not reported',
  );
  await rig.restart();
  assert.equal(await recordMeeting('ab12'), false);
  assert.equal(await recordMeeting('cd34'), true, 'another repair');
});

test('a new data volume has nothing outgoing', async () => {
  await using rig = await Rig.open(buses);
  await rig.restart();
  await put(rig, 'arrived', { arrived: true });
  await rig.restart();
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
  await assert.rejects(
    rig.gateway.call(getManifest, { repository, reference: 'v1' }),
    fault('manifest-unknown'),
  );
});

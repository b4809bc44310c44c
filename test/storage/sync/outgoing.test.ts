import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimTransfer } from '#proto/content/ingests.ts';
import {
  deleteManifest,
  deleteTag,
  getManifest,
  listBases,
  putManifest,
  putTag,
  setBases,
} from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import {
  beginSending,
  dropSending,
  listSending,
  listUnsent,
  listWithdrawn,
  settleOutgoing,
} from '#proto/sync/outgoing.ts';
import { bytesOf, digestOf, imageOf, jsonOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { pending, put, remove, repository, settle, unsent, withdrawn } from './outgoing-rig.ts';

/** Manifests that are unsent or withdrawn, from a client's change until a pass has settled it. */

const buses = await sharedBuses();

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

test('a manifest that a pass began to send is withdrawn once a client deletes it; one that is deleted is not sent', async () => {
  await using rig = await Rig.open(buses);
  const digest = await put(rig, 'begun');
  await rig.syncer.call(beginSending, { repository, digests: [digest] });
  assert.deepEqual(await pending(rig), { unsent: [digest], withdrawn: [] });
  await rig.restart();
  await remove(rig, digest);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [digest] });
  await assert.rejects(rig.syncer.call(beginSending, { repository, digests: [digest] }), {
    code: 'manifest-unknown',
  });
});

test('what a pass begins to do to a tag at the parent is on record, with its base, until a base is set', async () => {
  await using rig = await Rig.open(buses);
  const call = rig.syncer.call.bind(rig.syncer);
  const sending = async () => (await call(listSending, { limit: 10 })).tags;
  const [a, b] = [await put(rig, 'a', { tag: 'v1' }), await put(rig, 'b')];
  await call(beginSending, {
    repository,
    digests: [],
    move: { tag: 'v1', base: b, digest: a, known: { base: null } },
  });
  await rig.restart();
  assert.deepEqual(await sending(), [{ repository, tag: 'v1', digest: a }]);
  assert.deepEqual((await call(listBases, { repository, limit: 10 })).tags, [{ tag: 'v1', digest: b }]);
  await call(dropSending, { tags: [{ repository, tag: 'v1', digest: null }] });
  assert.deepEqual(await sending(), [{ repository, tag: 'v1', digest: a }]);
  await call(setBases, { repository, bases: [{ tag: 'v1', digest: a }] });
  assert.deepEqual(await sending(), []);
  await call(beginSending, {
    repository,
    digests: [],
    move: { tag: 'v1', base: null, digest: null, known: { base: a } },
  });
  assert.deepEqual((await call(listBases, { repository, limit: 10 })).tags, []);
  await call(dropSending, { tags: [{ repository, tag: 'v1', digest: null }] });
  assert.deepEqual(await sending(), []);
});

test('a pass moves or deletes a tag only if its base is still the one that was planned with, and none is sent', async () => {
  await using rig = await Rig.open(buses);
  const call = rig.syncer.call.bind(rig.syncer);
  const [a, b] = [await put(rig, 'a', { tag: 'v1' }), await put(rig, 'b')];
  const moves = (base: string | null) =>
    call(putTag, { repository, tag: 'v1', digest: b, expect: a, base: true, known: { base } });
  const drops = (base: string | null) =>
    call(deleteTag, { repository, tag: 'v1', expect: a, base: true, known: { base } });
  for (const change of [moves, drops]) await assert.rejects(change(a), { code: 'conflict' });
  await call(beginSending, {
    repository,
    digests: [],
    move: { tag: 'v1', base: a, digest: null, known: { base: null } },
  });
  for (const change of [moves, drops]) await assert.rejects(change(a), { code: 'conflict' });
  await call(setBases, { repository, bases: [{ tag: 'v1', digest: a }] });
  await moves(a);
  assert.deepEqual((await call(listBases, { repository, limit: 10 })).tags, [{ tag: 'v1', digest: b }]);
});

test('a pass sends a change of a tag, or agrees on it, only if base and record are as it knew them', async () => {
  await using rig = await Rig.open(buses);
  const call = rig.syncer.call.bind(rig.syncer);
  const [a, b] = [await put(rig, 'a', { tag: 'v1' }), await put(rig, 'b')];
  const sends = (digest: string, known: { base: string | null; sending?: string | null }) =>
    call(beginSending, { repository, digests: [], move: { tag: 'v1', base: known.base, digest, known } });
  const agrees = async (digest: string, known: { base: string | null; sending?: string | null }) => {
    await call(setBases, { repository, bases: [{ tag: 'v1', digest, known }] });
    return (await call(listBases, { repository, limit: 10 })).tags[0]?.digest;
  };
  await sends(a, { base: null });
  const outdated = [{ base: null }, { base: b, sending: a }, { base: null, sending: b }];
  for (const known of outdated) {
    await assert.rejects(sends(b, known), { code: 'conflict' });
    assert.equal(await agrees(b, known), undefined);
  }
  assert.deepEqual((await call(listSending, { limit: 10 })).tags, [{ repository, tag: 'v1', digest: a }]);
  // A later pass that knows the record, such as after a kill.
  await sends(b, { base: null, sending: a });
  assert.equal(await agrees(b, { base: null, sending: b }), b);
  assert.deepEqual((await call(listSending, { limit: 10 })).tags, []);
  await assert.rejects(sends(a, { base: null }), { code: 'conflict' });
});

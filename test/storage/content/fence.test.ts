import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkBlobs } from '#proto/content/blobs.ts';
import {
  deleteManifest,
  deleteSynchronized,
  deleteTag,
  listBases,
  listTags,
  putManifest,
  putTag,
  setBases,
} from '#proto/content/manifests.ts';
import { takeTerm } from '#proto/content/terms.ts';
import { storeCursor } from '#proto/sync/changes.ts';
import { listParked, park, recordParent, settleOutgoing, unpark } from '#proto/sync/outgoing.ts';
import { Fence } from '../../../services/storage/content/fence.ts';
import type { Change } from '../../../services/storage/metadata/metadata.ts';
import { quiet } from '../../support/bus.ts';
import { bytesOf, fault, imageOf, jsonOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const term = async (rig: Rig, by = 'one') => (await rig.syncer.call(takeTerm, { by })).term;

test('each term is higher than all earlier ones, for any coordinator and after a restart', async () => {
  await using rig = await Rig.open(buses);
  const together = await Promise.all([term(rig), term(rig, 'two'), term(rig, 'three')]);
  assert.deepEqual(together.toSorted(), [1, 2, 3]);
  await rig.restart();
  assert.equal(await term(rig), 4);
});

test('every change of a pass is refused once another term is handed out, and changes nothing', async () => {
  await using rig = await Rig.open(buses);
  const { syncer } = rig;
  const digest = await rig.gateway.pushImage(repository, 'one', { tag: 'v' });
  const other = await rig.gateway.pushImage(repository, 'two');
  const blob = await rig.gateway.push('lib/other', bytesOf('a blob'));
  const old = await term(rig);
  const { id, claim } = await syncer.uploaded(
    repository,
    jsonOf(imageOf('one', { annotations: { a: 'b' } })),
  );
  await term(rig, 'two');
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const parked = { repository, reference: 'v', code: 'denied', reason: '', since: 1, attempts: 1, retry: 2 };
  const before = rig.events.length;
  const changes = [
    () => syncer.call(putManifest, { repository, digest, mediaType, id, claim, term: old }),
    () => syncer.call(deleteManifest, { repository, digest, arrived: true, term: old }),
    () => syncer.call(deleteSynchronized, { repository, term: old }),
    () => syncer.call(putTag, { repository, tag: 'v', digest: other, base: true, term: old }),
    () => syncer.call(deleteTag, { repository, tag: 'v', base: true, term: old }),
    () => syncer.call(setBases, { repository, bases: [{ tag: 'v', digest }], term: old }),
    () => syncer.call(settleOutgoing, { repository, digests: [digest], sent: true, term: old }),
    () => syncer.call(recordParent, { parent: 'other:443', forget: true, term: old }),
    () => syncer.call(park, { ...parked, term: old }),
    () => syncer.call(unpark, { repository, reference: 'v', term: old }),
    () => syncer.call(linkBlobs, { repository, digests: [blob], term: old }),
    () => syncer.call(storeCursor, { scopeHash: 'parent', cursor: '1-1', term: old }),
  ];
  for (const change of changes) {
    await assert.rejects(change(), fault('claim-lost', { term: old + 1 }), String(change));
  }
  const page = { repository, limit: 10 };
  assert.deepEqual((await syncer.call(listTags, page)).tags, [{ tag: 'v', digest }]);
  assert.deepEqual((await syncer.call(listBases, page)).tags, []);
  assert.equal(rig.events.length, before);
});

test('changes with the last term, and those of clients without a term, are made', async () => {
  await using rig = await Rig.open(buses);
  await term(rig);
  const last = await term(rig, 'two');
  const digest = await rig.gateway.pushImage(repository, 'one');
  await rig.syncer.call(putTag, { repository, tag: 'mine', digest, base: true, term: last });
  await rig.gateway.call(putTag, { repository, tag: 'theirs', digest });
  const parked = { repository, reference: 'x', code: 'denied', reason: '', since: 1, attempts: 1, retry: 2 };
  await rig.syncer.call(park, { ...parked, term: last });
  const { tags } = await rig.syncer.call(listTags, { repository, limit: 10 });
  assert.deepEqual(tags, [
    { tag: 'mine', digest },
    { tag: 'theirs', digest },
  ]);
  // The stored record is the requested one, without the term.
  assert.deepEqual((await rig.syncer.call(listParked, { limit: 10 })).parked, [parked]);
  await rig.restart();
  await rig.syncer.call(setBases, { repository, bases: [{ tag: 'theirs', digest }], term: last });
  await assert.rejects(
    rig.syncer.call(setBases, { repository, bases: [{ tag: 'theirs', digest: null }], term: last + 1 }),
    fault('claim-lost', { term: last }),
  );
});

test('a term is handed out once all changes of the previous one have ended, and none starts meanwhile', async () => {
  const written: Change[] = [];
  const metadata = {
    term: async () => 6,
    write: async (changes: Change[]) => void written.push(...changes),
  };
  const fence = await Fence.open(metadata, quiet);
  const first = await fence.take('one');
  const { promise, resolve } = Promise.withResolvers<void>();
  const order: string[] = [];
  const change = fence.run(first, () => promise.then(() => order.push('changed')));
  const failing = fence.run(first, () => promise.then(() => Promise.reject(new Error('it failed'))));
  const second = fence.take('two').then((taken) => {
    order.push('taken');
    return taken;
  });
  await new Promise(setImmediate);
  assert.equal(order.length, 0);
  await assert.rejects(
    fence.run(first, async () => order.push('late')),
    fault('claim-lost', { term: first + 1 }),
  );
  resolve();
  assert.equal(await second, first + 1);
  await change;
  await assert.rejects(failing, /it failed/);
  assert.deepEqual(order, ['changed', 'taken']);
  assert.deepEqual(
    written.map(({ key, type }) => [key, type]),
    [
      ['x!term', 'put'],
      ['x!term', 'put'],
    ],
  );
});

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  abortUpload,
  CLAIM_TTL_MS,
  claimUpload,
  commitBlob,
  releaseClaim,
  startUpload,
  uploadStatus,
} from '#proto/content/ingests.ts';
import {
  GIVES_WAY_MS,
  MAX_GIVE_WAY,
  MAX_UPLOADS,
  OpenUploads,
} from '../../../services/storage/content/open-uploads.ts';
import { bytesOf, digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** A client that only starts uploads is limited, and does not block others. */

const buses = await sharedBuses();

const { ofAccountInRepository: PAIR, ofAccount: OWN } = MAX_UPLOADS;
const by = 'gateway-1';
const start = (rig: Rig, behalf: string, repository = 'app', hold = false) =>
  rig.gateway.call(startUpload, { repository, by, hold }, { behalf });

async function fill(rig: Rig, behalf: string, repository: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const more = Array.from({ length: Math.min(50, count - ids.length) }, () =>
      start(rig, behalf, repository),
    );
    ids.push(...(await Promise.all(more)).map(({ id }) => id));
  }
  return ids;
}

test('open uploads are limited by account and repository, also after a restart, and ended ones make room', async () => {
  await using rig = await Rig.open(buses);
  const [first = '', second = ''] = await fill(rig, 'ci', 'app', PAIR);
  await assert.rejects(start(rig, 'ci'), (error: Error) => {
    assert.match(
      error.message,
      /^account ci has 500 open uploads in repository app, the maximum: finish or cancel them \(DELETE/,
    );
    return fault('too-many', { retryAfter: 60 })(error);
  });
  await start(rig, 'other');
  await start(rig, '');
  await fill(rig, 'ci', 'b', PAIR - 1);
  await fill(rig, 'ci', 'c', OWN - 2 * PAIR + 1);
  await assert.rejects(start(rig, 'ci', 'd'), /^Fault: account ci has 1000 open uploads, the maximum/);
  await rig.restart();
  await assert.rejects(start(rig, 'ci'), fault('too-many'));
  await rig.gateway.call(abortUpload, { repository: 'app', id: first });
  const { claim } = await rig.gateway.call(claimUpload, { repository: 'app', id: second, by });
  await rig.gateway.call(commitBlob, { id: second, claim, repository: 'app', digest: digestOf(bytesOf('')) });
  await start(rig, 'ci');
  await start(rig, 'ci');
  await assert.rejects(start(rig, 'ci'), fault('too-many'));
  const folders = await readdir(join(rig.data, 'ingest'));
  assert.equal(folders.length, OWN + 2, 'a refused upload leaves no folder');
});

test('at a limit idle uploads are deleted: empty ones soon, the others later, and held ones never', async () => {
  await using rig = await Rig.open(buses);
  const begun = await start(rig, 'ci', 'app', true);
  await rig.gateway.write(begun, bytesOf('half'));
  await rig.gateway.call(releaseClaim, { id: begun.id, claim: begun.claim });
  const empty = await fill(rig, 'ci', 'app', PAIR - 2);
  rig.now += GIVES_WAY_MS.empty;
  const held = await start(rig, 'ci', 'app', true);
  const status = (id: string) => rig.gateway.call(uploadStatus, { repository: 'app', id });

  await start(rig, 'ci');
  await assert.rejects(status(empty[0] as string), fault('upload-unknown'));
  await status(begun.id);
  await status(held.id);

  for (const id of empty) await rig.gateway.call(abortUpload, { repository: 'app', id }).catch(() => {});
  await fill(rig, 'ci', 'app', PAIR - 3);
  await assert.rejects(start(rig, 'ci'), fault('too-many'), 'none of them is idle');
  rig.now += CLAIM_TTL_MS - 1;
  await assert.rejects(start(rig, 'ci'), fault('too-many'));
  rig.now += GIVES_WAY_MS.begun;
  for (let i = 0; i < PAIR; i += MAX_GIVE_WAY) {
    await status(begun.id);
    await fill(rig, 'ci', 'app', MAX_GIVE_WAY);
    rig.now += 1_000;
  }
  await assert.rejects(status(begun.id), fault('upload-unknown'), 'it was the last one that was deleted');
});

test('of many uploads that start at once, no more than the limit are admitted', async () => {
  await using rig = await Rig.open(buses);
  const all = await Promise.allSettled(Array.from({ length: PAIR + 50 }, () => start(rig, 'ci')));
  assert.equal(all.filter(({ status }) => status === 'fulfilled').length, PAIR);
});

test('all uploads of a layer together have a limit, for any accounts', () => {
  const open = new OpenUploads({ ofAccountInRepository: 2, ofAccount: 3, all: 4 });
  const owner = (account: string, repository = 'app') => ({ account, repository });
  for (const [id, account, repository] of [
    ['1', 'a', 'x'],
    ['2', 'a', 'x'],
    ['3', 'a', 'y'],
    ['4', 'b', 'x'],
  ] as const) {
    open.add(id, owner(account, repository));
  }
  assert.deepEqual(open.reached(owner('a', 'x')), { limit: 'ofAccountInRepository', ids: ['1', '2'] });
  assert.deepEqual(open.reached(owner('a', 'z')), { limit: 'ofAccount', ids: ['1', '2', '3'] });
  assert.equal(open.reached(owner('c'))?.limit, 'all');
  open.delete('1');
  open.delete('1');
  assert.equal(open.reached(owner('a', 'x')), undefined);
  assert.equal(open.size, 3);
});

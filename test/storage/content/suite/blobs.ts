import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAIM_TTL_MS } from '#proto/content/ingests.ts';
import { bytesOf, digestOf, fault } from '../../samples.ts';
import {
  absent,
  type ContentHarness,
  DAY,
  HOUR,
  layer,
  push,
  read,
  repository,
  uploaded,
  write,
} from './content-harness.ts';

/** Committed blobs: the repositories that link them, and how long garbage collection keeps those that none links. */

const nothing = { links: 0, blobs: 0, bytes: 0, ingests: 0, repositories: 0, strays: 0 };

async function collect(at: ContentHarness) {
  const { dryRun: _, ms: __, ...found } = await at.garbage.collect(false);
  return found;
}

export function blobs(make: () => Promise<ContentHarness>): void {
  links(make);
  garbage(make);
}

function links(make: () => Promise<ContentHarness>): void {
  test('a repository that never had a link is unknown; one that lost its links is not', async () => {
    await using at = await make();
    const { blobs } = at.store;
    const digest = await push(at, 'lib/a', bytesOf('a'));
    await assert.rejects(blobs.locate('lib', digest), fault('name-unknown', { repository: 'lib' }));
    await assert.rejects(blobs.locate('lib/a-b', digest), fault('name-unknown'));
    await blobs.unlink('lib/a', digest);
    await assert.rejects(blobs.locate('lib/a', digest), fault('blob-unknown', { digest }));
    await assert.rejects(blobs.unlink('lib/a', digest), fault('blob-unknown'));
    await assert.rejects(blobs.unlink('lib/b', digest), fault('name-unknown'));
  });

  test('content that no repository links is not missing, and can be linked again', async () => {
    await using at = await make();
    const { blobs } = at.store;
    const digest = await push(at, 'lib/a', bytesOf('a'));
    await blobs.unlink('lib/a', digest);
    assert.deepEqual(await blobs.missing([digest, absent, digest]), [absent]);
    await blobs.link('lib/b', [digest]);
    assert.deepEqual(await read(at, 'lib/b', digest), bytesOf('a'));
  });

  test('a mount links only blobs that the other repository links, and all of them or none', async () => {
    await using at = await make();
    const a = await push(at, 'lib/a', bytesOf('a'));
    const b = await push(at, 'lib/b', bytesOf('b'));
    const mount = (digests: string[], from?: string) => at.store.blobs.link('lib/new', digests, from);
    await assert.rejects(mount([a, b], 'lib/a'), fault('blob-unknown', { digest: b }));
    await assert.rejects(mount([a], 'lib/nothing'), fault('blob-unknown', { digest: a }));
    await assert.rejects(mount([a, absent]), fault('blob-unknown', { digest: absent }));
    await assert.rejects(read(at, 'lib/new', a), fault('name-unknown'));
    await mount([a], 'lib/a');
    await mount([a, b]);
    assert.ok(await read(at, 'lib/new', b));
  });

  test('linking no blobs creates no repository', async () => {
    await using at = await make();
    await at.store.blobs.link('lib/new', []);
    assert.equal((await at.status()).repositories, 0);
  });
}

function garbage(make: () => Promise<ContentHarness>): void {
  test('a push of many hours keeps its first layer while its repository is used or has an open upload', async () => {
    await using at = await make();
    await push(at, repository, layer);
    for (let hour = 0; hour < 5; hour += 1) {
      at.now += HOUR - 1;
      await push(at, repository, bytesOf(`layer ${hour}`));
      assert.deepEqual(await collect(at), nothing);
    }
    await uploaded(at, repository, bytesOf('slow'));
    at.now += 20 * HOUR;
    assert.deepEqual(await collect(at), nothing);
    at.now += 4 * HOUR + CLAIM_TTL_MS;
    const { links, ingests } = await collect(at);
    assert.deepEqual([links, ingests], [6, 1], 'both end once the upload is abandoned');
  });

  test('a blob that was reported as present stays for one grace', async () => {
    await using at = await make();
    const { blobs } = at.store;
    const digest = await push(at, repository, layer);
    await blobs.unlink(repository, digest);
    at.now += HOUR - 1;
    assert.deepEqual(await blobs.missing([digest]), []);
    at.now += HOUR - 1;
    await collect(at);
    await blobs.link(repository, [digest]);
    assert.deepEqual(await read(at, repository, digest), layer);
  });

  test('transferred content that nothing names is deleted in the end', async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    const digest = digestOf(layer);
    const claim = await ingests.claimTransfer({ digest, size: layer.byteLength, by: 'a' });
    await write(at, claim, layer);
    await blobs.commit({ id: claim.id, claim: claim.claim, digest });
    at.now += 30 * DAY;
    assert.equal((await collect(at)).blobs, 1);
    assert.deepEqual(await blobs.missing([digest]), [digest]);
  });
}

import assert from 'node:assert/strict';
import { chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { missingBlobs } from '#proto/content/blobs.ts';
import { claimTransfer, commitBlob, releaseClaim, startUpload } from '#proto/content/ingests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { bytesOf, digestOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** The wall clock of a machine is set by decades, in either direction: no content is deleted for that. */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEARS = 56 * 365 * DAY;
const repository = 'lib/app';
const layer = bytesOf('layer');
const digest = digestOf(layer);

const buses = await sharedBuses();

/** A layer with a blob that waits for its image, an upload and a transfer that were begun, and a damaged blob. */
async function filled(): Promise<Rig> {
  const rig = await Rig.open(buses);
  const claim = await rig.syncer.call(claimTransfer, { digest, size: layer.byteLength, by: 'a' });
  await rig.syncer.write(claim, layer);
  await rig.syncer.call(commitBlob, { id: claim.id, claim: claim.claim, digest });
  const upload = await rig.gateway.call(startUpload, { repository, by: 'a', hold: false });
  await rig.gateway.write(upload, layer);
  const other = digestOf(bytesOf('other'));
  const begun = await rig.syncer.call(claimTransfer, { digest: other, size: 99, by: 'a' });
  await rig.syncer.call(releaseClaim, begun);
  const damaged = await rig.gateway.push(repository, bytesOf('damaged'));
  const file = join(rig.data, 'blobs/sha256', damaged.slice(7, 9), damaged.slice(7));
  await chmod(file, 0o600);
  await writeFile(file, 'DAMAGED');
  await rig.storage.scrubber.check(damaged);
  return rig;
}

async function assertAllPresent(rig: Rig): Promise<void> {
  await rig.storage.garbage.collect(false);
  const { digests } = await rig.gateway.call(missingBlobs, { digests: [digest] });
  assert.deepEqual(digests, []);
  assert.equal((await readdir(join(rig.data, 'ingest'))).length, 2);
  assert.equal((await readdir(join(rig.data, 'quarantine'))).length, 1);
}

for (const restart of [false, true]) {
  for (const [name, jump] of [
    ['ahead', YEARS],
    ['back', -YEARS],
  ] as const) {
    const when = restart ? ' over a restart' : '';
    test(`content that waits stays if the clock is set ${name} by decades${when}, and still ages`, async () => {
      await using rig = await filled();
      rig.ahead = jump;
      if (restart) await rig.restart();
      // Beyond the grace that a start begins, and within that of an upload.
      rig.now += restart ? HOUR - 1 : 2 * HOUR;
      await assertAllPresent(rig);
      const { ingests } = await rig.gateway.call(storageStatus, {});
      for (const { touched } of ingests) assert.ok(touched <= rig.now + rig.ahead || touched === 0);
      rig.now += 31 * DAY;
      await rig.storage.garbage.collect(false);
      assert.equal((await readdir(join(rig.data, 'ingest'))).length, 0);
      assert.equal((await readdir(join(rig.data, 'quarantine'))).length, 0);
      const { digests } = await rig.gateway.call(missingBlobs, { digests: [digest] });
      assert.deepEqual(digests, [digest]);
    });
  }
}

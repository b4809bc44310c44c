import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ballast } from '#proto/volume/ballast.ts';
import { spaceOf } from '#proto/volume/space.ts';
import { releaseBallast, requireSpaceToStart } from '../../../cli/data/disk-space.ts';
import { smallVolume } from '../../support/small-volume.ts';

test('a start on a full volume is refused with the remedy, and succeeds once the ballast is released', async (t) => {
  await using volume = await smallVolume(64, 3_000);
  if (!volume) return t.skip('needs the right to mount');
  const data = volume.path;
  await new Ballast(data).take(await spaceOf(data, 0));
  await volume.fillInodes(0);
  await assert.rejects(requireSpaceToStart(data), (error: Error) => {
    assert.match(error.message, /has no free inodes: delete files that do not belong to Terrace/);
    assert.match(error.message, /ingest\/upload-\*/);
    return true;
  });
  await releaseBallast(data);
  await requireSpaceToStart(data);
  assert.deepEqual(
    ['ballast', 'ballast-inodes'].map((name) => existsSync(join(data, name))),
    [true, false],
    'only inodes are missing',
  );
  await releaseBallast(join(data, 'absent'));
});

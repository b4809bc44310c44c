import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault } from '#proto/fault.ts';
import type { Digest } from '#proto/names.ts';
import { Volume } from '#proto/volume.ts';
import { UNLIMITED } from '../../../services/syncer/link/bandwidth.ts';
import { ChunkLog } from '../../../services/syncer/transfer/chunk-log.ts';
import { Download } from '../../../services/syncer/transfer/download.ts';
import { Slots } from '../../../services/syncer/transfer/slots.ts';

const MIB = 1024 * 1024;
const wanted = { repository: 'a', digest: `sha256:${'a'.repeat(64)}` as Digest, size: 10 * MIB };

/** A parent that ignores Range and breaks at the same byte each time. */
const parent = {
  blob: async () => ({ start: 0, ranged: false, body: { destroy() {}, [Symbol.asyncIterator]: broken } }),
};
async function* broken() {
  yield Buffer.alloc(MIB, 1);
  throw new Fault('parent-unreachable', 'cut');
}

test('what comes a second time is no progress', async () => {
  const root = await mkdtemp(join(tmpdir(), 'terrace-download-'));
  try {
    await mkdir(join(root, 'ingest'));
    const volume = new Volume(root);
    const claim = { id: 'x', claim: 'x', path: 'ingest', offset: 0 };
    const gained: number[] = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await using file = await volume.openIngest(claim);
      await using log = await ChunkLog.open(await volume.openLog(claim));
      const { signal } = new AbortController();
      const means = { parent, file, log, slots: new Slots(4), bandwidth: UNLIMITED, signal, progress() {} };
      const download = new Download(wanted, means);
      await assert.rejects(download.run(), { code: 'parent-unreachable' });
      gained.push(download.gained);
    }
    assert.deepEqual(gained, [MIB, 0, 0]);
  } finally {
    await rm(root, { recursive: true });
  }
});

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '#proto/oci/names.ts';
import { Volume } from '#proto/volume/volume.ts';
import { type Bandwidth, UNLIMITED } from '../../services/syncer/link/bandwidth/bandwidth.ts';
import { Download, type DownloadDeps } from '../../services/syncer/transfer/download.ts';
import { ChunkLog } from '../../services/syncer/transfer/pieces/chunk-log.ts';
import type { Slots } from '../../services/syncer/transfer/slots.ts';

/** Of any blob: a download does not check it. */
const digest = `sha256:${'a'.repeat(64)}` as Digest;

/** Downloads a blob in one attempt into a temporary folder. @throws if the file differs from `content` */
export async function downloadBlob(
  content: Buffer,
  parent: DownloadDeps['parent'],
  slots: Slots,
  bandwidth: Bandwidth = UNLIMITED,
) {
  const root = await mkdtemp(join(tmpdir(), 'terrace-download-'));
  try {
    await mkdir(join(root, 'ingest'));
    const volume = new Volume(root);
    const claim = { id: 'x', claim: 'x', path: 'ingest', offset: 0 };
    await using file = await volume.openIngest(claim);
    await using log = await ChunkLog.open(await volume.openLog(claim));
    const { signal } = new AbortController();
    const blob = { repository: 'app', digest, size: content.length };
    const transfer = new Download(blob, { parent, file, log, slots, bandwidth, signal, progress() {} });
    const hashed = await transfer.run();
    const stored = Buffer.alloc(content.length);
    await file.read(stored, 0);
    assert.ok(stored.equals(content), 'the content differs');
    return { hashed, gained: transfer.gained };
  } finally {
    await rm(root, { recursive: true });
  }
}

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Digest } from '#proto/oci/names.ts';
import { Volume } from '#proto/volume/volume.ts';
import type { Extent } from '../../services/syncer/link/answers/extents.ts';
import { type Bandwidth, UNLIMITED } from '../../services/syncer/link/bandwidth/bandwidth.ts';
import {
  Download,
  type DownloadDeps,
  type DownloadOptions,
} from '../../services/syncer/transfer/download.ts';
import { ChunkLog } from '../../services/syncer/transfer/pieces/chunk-log.ts';
import type { Slots } from '../../services/syncer/transfer/slots.ts';

/** Of any blob: a download does not check it. */
const digest = `sha256:${'a'.repeat(64)}` as Digest;

/**
 * Downloads a blob in one attempt into a temporary folder.
 * @param present parts of it that are there before
 * @throws if the file differs from `content`
 */
export async function downloadBlob(
  content: Buffer,
  parent: DownloadDeps['parent'],
  slots: Slots,
  bandwidth: Bandwidth = UNLIMITED,
  { present = [], ...options }: DownloadOptions & { present?: Extent[] } = {},
) {
  const root = await mkdtemp(join(tmpdir(), 'terrace-download-'));
  try {
    await mkdir(join(root, 'ingest'));
    const volume = new Volume(root);
    const claim = { id: 'x', claim: 'x', path: 'ingest', offset: 0 };
    await using file = await volume.openIngest(claim);
    await using log = await ChunkLog.open(await volume.openLog(claim));
    for (const { start, end } of present) {
      const bytes = content.subarray(start, end);
      await file.write([bytes], start);
      await log.append({ start, end, crc: crc32(bytes) });
    }
    const { signal } = new AbortController();
    const blob = { repository: 'app', digest, size: content.length };
    const transfer = new Download(
      blob,
      { parent, file, log, slots, bandwidth, signal, progress() {} },
      options,
    );
    const hashed = await transfer.run();
    const stored = Buffer.alloc(content.length);
    await file.read(stored, 0);
    assert.ok(stored.equals(content), 'the content differs');
    return { hashed, gained: transfer.gained };
  } finally {
    await rm(root, { recursive: true });
  }
}

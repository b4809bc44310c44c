import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { BlobStore } from '../../../services/storage/content/blob-store.ts';
import { Grace } from '../../../services/storage/content/grace.ts';
import type { DeltaCache } from '../../../services/storage/deltas/delta-cache.ts';
import { Metadata, put } from '../../../services/storage/metadata/metadata.ts';
import { quiet } from '../../support/bus.ts';
import { absent, deltaTo } from './delta-rig.ts';

/** Metadata of their own, and a clock. */
export async function openCacheRig() {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-deltas-'));
  const metadata = await Metadata.open(join(folder, 'metadata'));
  const clock = { now: 1_000_000 };
  const now = () => clock.now;
  const [store, grace, locks] = [new BlobStore(folder), new Grace(now), new KeyedLock()];
  const deps = { metadata, store, grace, locks, log: quiet, now };
  const end = async () => {
    await metadata[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  };
  const keep = async (cache: DeltaCache, size = 10): Promise<string> => {
    const digest = absent();
    clock.now += 1;
    await cache.keep({ digest, size }, deltaTo(absent(), [absent()]), undefined, put.blob(digest, { size }));
    return digest;
  };
  return { deps, metadata, store, grace, clock, keep, [Symbol.asyncDispose]: end };
}

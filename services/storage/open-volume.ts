import { mkdir } from 'node:fs/promises';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { Log } from '#proto/contract/log.ts';
import { ArchiveSettings } from './archive/book/archive-settings.ts';
import { Audit } from './audit/audit.ts';
import { BlobStore } from './content/blob-store.ts';
import { Commits } from './content/commit.ts';
import { Fence } from './content/fence.ts';
import { Grace } from './content/grace.ts';
import { Ingests } from './content/ingests.ts';
import { SpaceGuard } from './content/space-guard.ts';
import { DeltaCache } from './deltas/delta-cache.ts';
import { RefusedPairs } from './deltas/refused-pairs.ts';
import { EventOutbox } from './history/event-outbox.ts';
import { AgeClock } from './metadata/age-clock.ts';
import type { Metadata } from './metadata/metadata.ts';
import type { BackupRecord, RestoredRecord } from './metadata/records.ts';
import { PauseStore } from './sync/pause-store.ts';
import { Selection } from './sync/selection.ts';
import { TagOrigins } from './sync/tag-origins.ts';
import { openUpgraded } from './upgrade/open-upgraded.ts';

export type StorageOptions = {
  /** Absolute path of the data volume. */
  data: string;
  /** Name of the layer. */
  layer?: string;
  /** Version of Terrace, for backups. */
  version?: string;
  /** No layer runs, so the name is not known: archives have the one of the last start. */
  isAlone?: boolean;
  publish: Bus['publish'];
  log: Log;
  /** Wall clock, in ms since 1970. */
  now?: () => number;
  /** Monotonic clock, in ms. */
  running?: () => number;
};

/** Shared by the modules of storage. */
export type StorageDeps = {
  metadata: Metadata;
  store: BlobStore;
  commits: Commits;
  ingests: Ingests;
  grace: Grace;
  locks: KeyedLock;
  deltaCache: DeltaCache;
  refusedPairs: RefusedPairs;
  space: SpaceGuard;
  publish: Bus['publish'];
  /** Of content events. */
  outbox: EventOutbox;
  audit: Audit;
  /** Its name. */
  layer: string;
  /** Of Terrace. */
  version: string;
  archiveSettings: ArchiveSettings;
  selection: Selection;
  origins: TagOrigins;
  /** By which content ages. */
  age: AgeClock;
  log: Log;
  /** Wall clock, in ms since 1970. */
  now: () => number;
  /** Monotonic clock, in ms. */
  running: () => number;
};

export type BackupRecords = { backups: BackupRecord | undefined; restored: RestoredRecord | undefined };

/** What an open volume has for the modules of storage. */
export type OpenVolume = { deps: StorageDeps; fence: Fence; pause: PauseStore; records: BackupRecords };

/**
 * Opens the data volume and recovers from a crash. No other process may open it at the same time.
 * @throws Fault `volume-unusable`
 */
export async function openVolume({
  data,
  layer = 'layer',
  version = '0',
  isAlone = false,
  publish,
  log,
  now = Date.now,
  running = () => performance.now(),
}: StorageOptions): Promise<OpenVolume> {
  await mkdir(data, { recursive: true });
  const space = new SpaceGuard(data, publish, log);
  await space
    .releaseBallast()
    .catch((err) => log.warn({ err }, 'free space of the data volume could not be measured'));
  const metadata = await openUpgraded({ data, version, log, now }).catch(async (error) => {
    await space[Symbol.asyncDispose]();
    throw error;
  });
  try {
    const store = new BlobStore(data);
    const locks = new KeyedLock();
    const commits = new Commits(metadata, store, locks, publish);
    const grace = new Grace(running);
    const outbox = await EventOutbox.open(metadata, publish);
    const age = await AgeClock.open({ metadata, now, running, log });
    const deltaCache = await DeltaCache.open({ metadata, store, grace, locks, log, now: age.now });
    space.relief = (need) => deltaCache.relieve(need);
    const shared = {
      metadata,
      outbox,
      store,
      commits,
      grace,
      locks,
      deltaCache,
      refusedPairs: await RefusedPairs.open({ metadata, now: age.now }),
      space,
      publish,
      layer,
      version,
      archiveSettings: await ArchiveSettings.open(metadata, layer, isAlone),
      audit: new Audit({ data, layer, log, now }),
      selection: new Selection(),
      origins: await TagOrigins.open({ metadata, now }),
      age,
      log,
      now,
      running,
    };
    const ingests = new Ingests(data, { ...shared, deltas: shared.deltaCache, now: age.now });
    await ingests.recover();
    const fence = await Fence.open(metadata, log);
    const pause = await PauseStore.open(shared);
    const records = { backups: await metadata.backup(), restored: await metadata.restored() };
    return { deps: { ...shared, ingests }, fence, pause, records };
  } catch (error) {
    await space[Symbol.asyncDispose]();
    await metadata[Symbol.asyncDispose]();
    throw error;
  }
}

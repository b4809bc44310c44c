import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { Log } from '#proto/contract/log.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import { RESERVE } from '#proto/volume/space.ts';
import { Accounts } from './accounts/accounts.ts';
import { Children } from './accounts/children.ts';
import { DeclaredAccounts } from './accounts/declared.ts';
import { EndedSessions } from './accounts/ended-sessions.ts';
import { Archives } from './archive/archives.ts';
import { ArchiveSettings } from './archive/book/archive-settings.ts';
import { Audit } from './audit/audit.ts';
import { Backups } from './backup/backups.ts';
import { RestoredChanges } from './backup/restore/restored-report.ts';
import { ArrivingContent } from './content/arriving.ts';
import { BlobStore } from './content/blob-store.ts';
import { Blobs } from './content/blobs.ts';
import { Commits } from './content/commit.ts';
import type { ContentManager, ContentStore } from './content/content-store.ts';
import { Fence } from './content/fence.ts';
import { GRACE_MS, Grace } from './content/grace.ts';
import { Ingests } from './content/ingests.ts';
import { SpaceGuard } from './content/space-guard.ts';
import { Exchanges } from './exchange/exchanges.ts';
import { EventOutbox } from './history/event-outbox.ts';
import { HistoryAge } from './history/history-age.ts';
import { watchHistory } from './history/history-watch.ts';
import { Images } from './images/images.ts';
import { GarbageCollector } from './maintenance/garbage.ts';
import { Scrubber } from './maintenance/scrub.ts';
import type { Maintenance } from './maintenance/sweep.ts';
import { AgeClock } from './metadata/age-clock.ts';
import type { Metadata } from './metadata/metadata.ts';
import type { BackupRecord, RestoredRecord } from './metadata/records.ts';
import { LeftOutReferrers } from './repositories/left-out-referrers.ts';
import { Manifests } from './repositories/manifests.ts';
import { Tags } from './repositories/tags.ts';
import { statusOf } from './status.ts';
import { BehindTags } from './sync/behind-tags.ts';
import { Feed } from './sync/feed.ts';
import { Marks } from './sync/marks.ts';
import { Outgoing } from './sync/outgoing.ts';
import { ParentCursor } from './sync/parent-cursor.ts';
import { PauseStore } from './sync/pause-store.ts';
import { Selection } from './sync/selection.ts';
import { SyncOverview } from './sync/sync-overview.ts';
import { TagIndex } from './sync/tag-index.ts';
import { TagOrigins } from './sync/tag-origins.ts';
import { UnselectedOutgoing } from './sync/unselected-outgoing.ts';
import { WebhookPositions } from './sync/webhooks.ts';
import { AuditForwarding } from './syslog/audit-forwarding.ts';
import { openUpgraded } from './upgrade/open-upgraded.ts';

/*
 * Storage: the only process that names, commits, links and deletes content on a data volume.
 *
 *   content/       ingest, commit and blob: bytes from the first write to deletion
 *   repositories/  manifests, tags and referrers
 *   images/        facts of images for lists and inventories
 *   metadata/      all records, in LevelDB (leveldb/ checks its files, repair/ restores it)
 *   sync/          state of synchronization with the parent and the children
 *   accounts/      tokens, scope maps, children
 *   history/       outbox of events; space and age of the event stream
 *   maintenance/   garbage collection and scrub
 *   backup/        backups while the layer runs, and their restore
 *   archive/       export and import as files
 *   exchange/      does both by itself, with folders that other layers fill and empty
 *   audit/         audit log
 *   syslog/        forwards it to a syslog receiver
 *   upgrade/       copies of the metadata from before an upgrade, and what a rollback to one means
 *
 * `service.ts` opens `Storage`, which locks the volume and recovers from a crash, publishes the events left in the
 * outbox, and then answers requests (`serve.ts`) until it is stopped or `failure` rejects.
 *
 * Lock order, which prevents deadlocks: the ingest, the blob, the repository. `parent` is taken before a repository,
 * and `declared` before `accounts`. The locks `children`, `cursor`, `marks`, `pause` and `sessions` are held alone.
 */

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

/** Settings until the first configuration is received. */
export const DEFAULT_MAINTENANCE: Maintenance = {
  garbage: { graceMs: GRACE_MS, uploadsMs: 24 * GRACE_MS, transfersMs: 30 * 24 * GRACE_MS },
  scrubRate: 20_000_000,
  reserve: RESERVE,
};

const SHUTTING_DOWN = 'storage is shutting down: back up again';
/** Max wait for a backup to end, in ms: its target may hang. */
const MAX_CANCEL_MS = 2_000;

/** Shared by the modules of storage. */
type StorageDeps = {
  metadata: Metadata;
  store: BlobStore;
  commits: Commits;
  ingests: Ingests;
  grace: Grace;
  locks: KeyedLock;
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

type BackupRecords = { backups: BackupRecord | undefined; restored: RestoredRecord | undefined };

/** All modules of storage on one data volume. No other process may open the volume at the same time. */
export class Storage implements ContentStore, ContentManager, AsyncDisposable {
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly leftOutReferrers: LeftOutReferrers;
  readonly tags: Tags;
  readonly images: Images;
  readonly outgoing: Outgoing;
  readonly behind: BehindTags;
  readonly overview: SyncOverview;
  readonly feed: Feed;
  readonly parentCursor: ParentCursor;
  readonly marks: Marks;
  readonly fence: Fence;
  readonly ingests: Ingests;
  readonly arriving: ArrivingContent;
  readonly accounts: Accounts;
  readonly sessions: EndedSessions;
  readonly declared: DeclaredAccounts;
  readonly children: Children;
  readonly garbage: GarbageCollector;
  readonly scrubber: Scrubber;
  readonly backups: Backups;
  readonly restored: RestoredChanges;
  /** In force, for backups. */
  configuration: unknown;
  readonly archives: Archives;
  readonly exchanges: Exchanges;
  readonly webhooks: WebhookPositions;
  readonly pause: PauseStore;
  readonly #unselected: UnselectedOutgoing;
  readonly #tagIndex: TagIndex;
  readonly audit: Audit;
  readonly forwarding: AuditForwarding;
  readonly #deps: StorageDeps;
  #maintenance = DEFAULT_MAINTENANCE;

  /**
   * Opens the data volume and recovers from a crash; ready to serve when it resolves.
   * @throws Fault `volume-unusable`
   */
  static async open({
    data,
    layer = 'layer',
    version = '0',
    isAlone = false,
    publish,
    log,
    now = Date.now,
    running = () => performance.now(),
  }: StorageOptions): Promise<Storage> {
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
      const shared = {
        metadata,
        outbox,
        store,
        commits,
        grace,
        locks,
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
      const ingests = new Ingests(data, { ...shared, now: age.now });
      await ingests.recover();
      const fence = await Fence.open(metadata, log);
      const pause = await PauseStore.open(shared);
      const records = { backups: await metadata.backup(), restored: await metadata.restored() };
      const storage = new Storage({ ...shared, ingests }, fence, pause, data, records);
      await storage.children.begin(data);
      return storage;
    } catch (error) {
      await space[Symbol.asyncDispose]();
      await metadata[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    deps: StorageDeps,
    fence: Fence,
    pause: PauseStore,
    data: string,
    records: BackupRecords,
  ) {
    this.#deps = deps;
    // Times of content are those of the age clock, all others those of the wall clock.
    const aging = { ...deps, now: deps.age.now, wall: deps.now };
    this.audit = deps.audit;
    this.forwarding = new AuditForwarding({ ...deps, file: deps.audit.file });
    this.blobs = new Blobs(aging);
    this.tags = new Tags(deps);
    this.images = new Images(deps);
    this.outgoing = new Outgoing(deps);
    this.behind = new BehindTags(deps);
    this.#tagIndex = new TagIndex(deps.metadata);
    this.overview = new SyncOverview({ ...deps, tagIndex: this.#tagIndex });
    this.restored = new RestoredChanges(deps, records.restored);
    const { selection } = deps;
    const isHeldBack = () => selection.hasParent && this.restored.isComparing;
    this.feed = new Feed({ ...deps, isHeldBack });
    this.parentCursor = new ParentCursor(deps);
    this.marks = new Marks(deps);
    this.fence = fence;
    this.manifests = new Manifests(deps, this.tags, this.outgoing);
    this.leftOutReferrers = new LeftOutReferrers(deps);
    this.ingests = deps.ingests;
    this.arriving = new ArrivingContent(deps);
    this.accounts = new Accounts(deps, deps.now);
    this.sessions = new EndedSessions(deps);
    this.declared = new DeclaredAccounts(deps);
    this.children = new Children(deps);
    this.garbage = new GarbageCollector(aging, data, () => this.#maintenance.garbage);
    this.scrubber = new Scrubber(aging, data, () => this.#maintenance.scrubRate);
    this.backups = new Backups(
      {
        ...deps,
        data,
        instance: async () => (await this.children.getIdentity()).instance,
        configuration: () => this.configuration,
        onDamaged: (digest) => void this.scrubber.check(digest).catch(() => {}),
        reserve: () => this.#maintenance.reserve,
      },
      records.backups,
    );
    const { blobs, manifests, tags } = this;
    const instance = () => this.children.ensureInstance();
    this.archives = new Archives({ ...deps, data, blobs, manifests, tags, instance });
    this.exchanges = new Exchanges({ ...deps, archives: this.archives });
    this.webhooks = new WebhookPositions(deps);
    this.pause = pause;
    this.#unselected = new UnselectedOutgoing(deps.metadata, deps.selection);
    this.configure(DEFAULT_MAINTENANCE);
  }

  /** Rejects when storage cannot continue and must be reopened. */
  get failure(): Promise<never> {
    return this.#deps.metadata.failure;
  }

  /** Takes effect at once; for a garbage collection or scrub in progress, at the next run. */
  configure(maintenance: Maintenance): void {
    const { garbage, reserve, selected, pushes = true, hasParent = true } = maintenance;
    this.#maintenance = maintenance;
    this.#deps.selection.patterns = selected;
    this.#deps.selection.pushes = pushes;
    this.#deps.selection.hasParent = hasParent;
    this.#deps.grace.graceMs = garbage.graceMs;
    this.#deps.space.reserve = reserve;
  }

  /** Publishes the events that a killed storage left in the outbox. */
  async resume(bus: Bus): Promise<void> {
    await this.#deps.outbox.resume(bus, this.#deps.log);
    this.pause.begin();
  }

  /** Reads the metadata that the opening did not read. If it is damaged, `failure` rejects. */
  examineMetadata(signal: AbortSignal): Promise<void> {
    return this.#deps.metadata.examineRest(signal);
  }

  /** Runs until the signal aborts. */
  watchHistory(bus: Bus, signal: AbortSignal): Promise<void> {
    return watchHistory({ ...this.#deps, bus }, signal);
  }

  historyAge(bus: Bus): HistoryAge {
    return new HistoryAge({ ...this.#deps, bus });
  }

  /** Aborts a garbage collection, scrub, backup, export or import in progress: shutdown does not wait for it. */
  abortMaintenance(): void {
    this.garbage.abort();
    this.scrubber.abort();
    void this.backups.cancel(SHUTTING_DOWN);
    this.archives.stop();
  }

  status(): Promise<StorageStatus> {
    const { ingests, behind, scrubber, declared, audit, pause, forwarding, backups, restored, exchanges } =
      this;
    const [unselected, tagIndex] = [this.#unselected, this.#tagIndex];
    return statusOf({
      ...this.#deps,
      ...{
        ingests,
        behind,
        scrubber,
        declared,
        audit,
        pause,
        forwarding,
        unselected,
        tagIndex,
        backups,
        restored,
        exchanges,
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.forwarding[Symbol.asyncDispose]();
    await this.#deps.space[Symbol.asyncDispose]();
    this.abortMaintenance();
    await Promise.race([this.backups.cancel(SHUTTING_DOWN), sleep(MAX_CANCEL_MS, undefined, { ref: false })]);
    this.pause[Symbol.dispose]();
    await this.#deps.age[Symbol.asyncDispose]();
    await this.#deps.outbox[Symbol.asyncDispose]();
    await this.#deps.metadata[Symbol.asyncDispose]();
    await this.audit[Symbol.asyncDispose]();
  }
}

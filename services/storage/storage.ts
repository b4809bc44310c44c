import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import { Accounts } from './accounts/accounts.ts';
import { Children } from './accounts/children.ts';
import { DeclaredAccounts } from './accounts/declared.ts';
import { EndedSessions } from './accounts/ended-sessions.ts';
import { Archives } from './archive/archives.ts';
import type { Audit } from './audit/audit.ts';
import { Backups } from './backup/backups.ts';
import { RestoredChanges } from './backup/restore/restored-report.ts';
import { ArrivingContent } from './content/arriving.ts';
import { Blobs } from './content/blobs.ts';
import type { ContentManager, ContentStore } from './content/content-store.ts';
import type { Fence } from './content/fence.ts';
import type { Ingests } from './content/ingests.ts';
import { Deltas } from './deltas/deltas.ts';
import { Exchanges } from './exchange/exchanges.ts';
import { HistoryAge } from './history/history-age.ts';
import { watchHistory } from './history/history-watch.ts';
import { Images } from './images/images.ts';
import { GarbageCollector } from './maintenance/garbage.ts';
import { Scrubber } from './maintenance/scrub.ts';
import { DEFAULT_MAINTENANCE, type Maintenance } from './maintenance/sweep.ts';
import { type OpenVolume, openVolume, type StorageDeps, type StorageOptions } from './open-volume.ts';
import { LeftOutReferrers } from './repositories/left-out-referrers.ts';
import { Manifests } from './repositories/manifests.ts';
import { Tags } from './repositories/tags.ts';
import { statusOf } from './status.ts';
import { BehindTags } from './sync/behind-tags.ts';
import { Feed } from './sync/feed.ts';
import { Marks } from './sync/marks.ts';
import { Outgoing } from './sync/outgoing.ts';
import { ParentCursor } from './sync/parent-cursor.ts';
import type { PauseStore } from './sync/pause-store.ts';
import { SyncOverview } from './sync/sync-overview.ts';
import { TagIndex } from './sync/tag-index.ts';
import { UnselectedOutgoing } from './sync/unselected-outgoing.ts';
import { WebhookPositions } from './sync/webhooks.ts';
import { AuditForwarding } from './syslog/audit-forwarding.ts';

/*
 * Storage: the only process that names, commits, links and deletes content on a data volume.
 *
 *   content/       ingest, commit and blob: bytes from the first write to deletion
 *   deltas/        deltas of blobs, for the layers below
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
 * `service.ts` opens `Storage`, which locks the volume and recovers from a crash (`open-volume.ts`), publishes the
 * events left in the outbox, and then answers requests (`serve.ts`) until it is stopped or `failure` rejects.
 *
 * Lock order, which prevents deadlocks: the ingest, the blob, the repository. `parent` is taken before a repository,
 * and `declared` before `accounts`. The locks `children`, `cursor`, `marks`, `pause` and `sessions` are held alone.
 */

const SHUTTING_DOWN = 'storage is shutting down: back up again';
/** Max wait for a backup to end, in ms: its target may hang. */
const MAX_CANCEL_MS = 2_000;

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
  readonly deltas: Deltas;
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
  static async open(options: StorageOptions): Promise<Storage> {
    const volume = await openVolume(options);
    const { metadata, space } = volume.deps;
    try {
      const storage = new Storage(volume, options.data);
      await storage.children.begin(options.data);
      return storage;
    } catch (error) {
      await space[Symbol.asyncDispose]();
      await metadata[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor({ deps, fence, pause, records }: OpenVolume, data: string) {
    this.#deps = deps;
    // Times of content are those of the age clock, all others those of the wall clock.
    const aging = { ...deps, now: deps.age.now, wall: deps.now, deltas: deps.deltaCache };
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
    this.deltas = new Deltas(deps);
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
    const { garbage, reserve, deltas, selected, pushes = true, hasParent = true } = maintenance;
    this.#maintenance = maintenance;
    this.#deps.selection.patterns = selected;
    this.#deps.selection.pushes = pushes;
    this.#deps.selection.hasParent = hasParent;
    this.#deps.grace.graceMs = garbage.graceMs;
    this.#deps.space.reserve = reserve;
    if (deltas) this.deltas.configure(deltas, garbage.graceMs);
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
    const { behind, scrubber, declared, pause, forwarding, backups, restored, exchanges, deltas } = this;
    return statusOf({
      ...this.#deps,
      ...{ behind, scrubber, declared, pause, forwarding, backups, restored, exchanges, deltas },
      ...{ unselected: this.#unselected, tagIndex: this.#tagIndex },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.forwarding[Symbol.asyncDispose]();
    await this.#deps.space[Symbol.asyncDispose]();
    this.abortMaintenance();
    await Promise.race([this.backups.cancel(SHUTTING_DOWN), sleep(MAX_CANCEL_MS, undefined, { ref: false })]);
    this.pause[Symbol.dispose]();
    await this.#deps.deltaCache[Symbol.asyncDispose]();
    await this.#deps.age[Symbol.asyncDispose]();
    await this.#deps.outbox[Symbol.asyncDispose]();
    await this.#deps.metadata[Symbol.asyncDispose]();
    await this.audit[Symbol.asyncDispose]();
  }
}

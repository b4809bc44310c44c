import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { Log } from '#proto/contract/log.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import { METADATA } from '#proto/volume/layout.ts';
import { RESERVE } from '#proto/volume/space.ts';
import { Accounts } from './accounts/accounts.ts';
import { Children } from './accounts/children.ts';
import { DeclaredAccounts } from './accounts/declared.ts';
import { Audit } from './audit/audit.ts';
import { ArrivingContent } from './content/arriving.ts';
import { BlobStore } from './content/blob-store.ts';
import { Blobs } from './content/blobs.ts';
import { Commits } from './content/commit.ts';
import { Fence } from './content/fence.ts';
import { GRACE_MS, Grace } from './content/grace.ts';
import { Ingests } from './content/ingests.ts';
import { SpaceGuard } from './content/space.ts';
import { EventOutbox } from './history/announcements.ts';
import { watchHistory } from './history/history-watch.ts';
import { GarbageCollector } from './maintenance/garbage.ts';
import { Scrubber } from './maintenance/scrub.ts';
import type { Upkeep } from './maintenance/sweep.ts';
import { Metadata } from './metadata/metadata.ts';
import { Manifests } from './repositories/manifests.ts';
import { Tags } from './repositories/tags.ts';
import { Feed } from './sync/feed.ts';
import { KeptHere } from './sync/kept-here.ts';
import { Marks } from './sync/marks.ts';
import { Outgoing } from './sync/outgoing.ts';
import { WebhookPlaces } from './sync/webhooks.ts';

export type StorageOptions = {
  /** The data volume, absolute. */
  data: string;
  /** The name of the layer. */
  layer?: string;
  publish: Bus['publish'];
  log: Log;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Milliseconds of a clock that only goes forward. */
  running?: () => number;
};

/** Until a configuration is seen. */
export const UPKEEP: Upkeep = {
  garbage: { graceMs: GRACE_MS, uploadsMs: 24 * GRACE_MS, transfersMs: 30 * 24 * GRACE_MS },
  scrubRate: 20_000_000,
  reserve: RESERVE,
};

/** Ingests that a status names at most: a reply must fit into one message of the bus. */
const STATUS_INGESTS = 1_000;

/** What the modules of storage are made of. */
type StorageDeps = {
  metadata: Metadata;
  store: BlobStore;
  commits: Commits;
  ingests: Ingests;
  grace: Grace;
  /** Whoever takes several takes them in this order, so that nobody waits in a circle: ingest, blob, repository. */
  locks: KeyedLock;
  space: SpaceGuard;
  publish: Bus['publish'];
  /** Events of changes of content. */
  announcements: EventOutbox;
  audit: Audit;
  log: Log;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Milliseconds of a clock that only goes forward. */
  running: () => number;
};

/** Everything that storage holds on one data volume, which nobody else may open meanwhile. */
export class Storage implements AsyncDisposable {
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly tags: Tags;
  readonly outgoing: Outgoing;
  readonly feed: Feed;
  readonly marks: Marks;
  readonly fence: Fence;
  readonly ingests: Ingests;
  readonly arriving: ArrivingContent;
  readonly accounts: Accounts;
  readonly declared: DeclaredAccounts;
  readonly children: Children;
  readonly garbage: GarbageCollector;
  readonly scrubber: Scrubber;
  readonly webhooks: WebhookPlaces;
  readonly #keptHere: KeptHere;
  readonly audit: Audit;
  readonly #deps: StorageDeps;

  /** Ready to serve when it returns: what a crash left behind is sorted out. */
  static async open({
    data,
    layer = 'layer',
    publish,
    log,
    now = Date.now,
    running = () => performance.now(),
  }: StorageOptions): Promise<Storage> {
    await mkdir(data, { recursive: true });
    const space = new SpaceGuard(data, publish, log);
    await space
      .giveBack()
      .catch((err) => log.warn({ err }, 'the free space of the data volume is not known'));
    const metadata = await Metadata.open(join(data, METADATA)).catch(async (error) => {
      await space[Symbol.asyncDispose]();
      throw error;
    });
    try {
      const store = new BlobStore(data);
      const locks = new KeyedLock();
      const commits = new Commits(metadata, store, locks, publish);
      const grace = new Grace(running);
      const announcements = await EventOutbox.open(metadata, publish);
      const some = {
        metadata,
        announcements,
        store,
        commits,
        grace,
        locks,
        space,
        publish,
        audit: new Audit({ data, layer, log, now }),
        log,
        now,
        running,
      };
      const ingests = new Ingests(data, some);
      await ingests.recover();
      const fence = await Fence.open(metadata, log);
      const storage = new Storage({ ...some, ingests }, fence, data);
      await storage.children.begin(data);
      return storage;
    } catch (error) {
      await space[Symbol.asyncDispose]();
      await metadata[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(deps: StorageDeps, fence: Fence, data: string) {
    this.#deps = deps;
    this.audit = deps.audit;
    this.blobs = new Blobs(deps);
    this.tags = new Tags(deps);
    this.outgoing = new Outgoing(deps);
    this.feed = new Feed(deps);
    this.marks = new Marks(deps);
    this.fence = fence;
    this.manifests = new Manifests(deps, this.tags, this.outgoing);
    this.ingests = deps.ingests;
    this.arriving = new ArrivingContent(deps);
    this.accounts = new Accounts(deps, deps.now);
    this.declared = new DeclaredAccounts(deps);
    this.children = new Children(deps);
    this.garbage = new GarbageCollector(deps, data);
    this.scrubber = new Scrubber(deps, data);
    this.webhooks = new WebhookPlaces(deps);
    this.#keptHere = new KeptHere(deps.metadata);
    this.keep(UPKEEP);
  }

  /** Rejects when storage can't go on, and has to be opened again. */
  get failure(): Promise<never> {
    return this.#deps.metadata.failure;
  }

  /** Takes effect at once; on what runs already, at the next one. */
  keep({ garbage, scrubRate, reserve, selected }: Upkeep): void {
    this.#keptHere.selected = selected;
    this.#deps.grace.graceMs = garbage.graceMs;
    this.#deps.space.reserve = reserve;
    this.garbage.rules = garbage;
    this.scrubber.rate = scrubRate;
  }

  /** Says what was not said by a storage that was killed. */
  resume(bus: Bus): Promise<void> {
    return this.#deps.announcements.resume(bus, this.#deps.log);
  }

  /** Until the signal ends it. */
  watchHistory(bus: Bus, signal: AbortSignal): Promise<void> {
    return watchHistory({ ...this.#deps, bus }, signal);
  }

  /** What runs of it gives up, so that it keeps no end waiting. */
  endUpkeep(): void {
    this.garbage.end();
    this.scrubber.end();
  }

  async status(): Promise<StorageStatus> {
    const ingests = await this.ingests.list(STATUS_INGESTS);
    const { unsent, withdrawn, parked, ...content } = this.#deps.metadata.counters;
    const kept = await this.#keptHere.count();
    return {
      ...content,
      ...(this.scrubber.damage.length > 0 && { metadata: this.scrubber.damage }),
      ...((await this.#deps.metadata.closed()) && { closed: true }),
      ...(this.declared.complaints.length > 0 && { accounts: this.declared.complaints }),
      space: await this.#deps.space.look(),
      ...(this.audit.lost && { audit: this.audit.lost }),
      outgoing: {
        unsent: Math.max(0, unsent - kept.unsent),
        withdrawn: Math.max(0, withdrawn - kept.withdrawn),
        parked,
        ...(kept.unsent > 0 && { kept: kept.unsent }),
      },
      ingests: ingests.map(({ id, holder, record: { purpose, digest, size, touched, account } }) => ({
        id,
        purpose,
        touched,
        ...(digest !== undefined && { digest }),
        ...(size !== undefined && { size }),
        ...(account !== undefined && { account }),
        ...(holder !== undefined && { holder }),
      })),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#deps.space[Symbol.asyncDispose]();
    this.endUpkeep();
    await this.#deps.metadata[Symbol.asyncDispose]();
    await this.audit[Symbol.asyncDispose]();
  }
}

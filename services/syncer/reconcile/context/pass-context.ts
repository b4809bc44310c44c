import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Repository } from '#proto/oci/names.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { DeltaPace } from '../../delta/delta-pace.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import type { ParentReader } from '../../link/parent/parent-reader.ts';
import type { PushClient } from '../../link/parent/push-client.ts';
import type { DeltaBases, DeltaOffers } from '../../link/terrace/parent-deltas.ts';
import type { BehindBook } from '../behind/behind-book.ts';
import type { PassAnnouncement } from './announcement.ts';
import type { FailedParts } from './leave-out.ts';
import type { LeftOutContent } from './left-out.ts';
import type { LeftOutRecords } from './left-out-records.ts';
import type { Oversized } from './oversized.ts';
import type { ParentChanges } from './parent-changes.ts';
import type { Parking } from './parking.ts';
import type { PassPrefetch } from './pass-prefetch.ts';
import type { PassRequest } from './pass-request.ts';
import type { PassStats } from './pass-stats.ts';
import type { RefusedRepositories } from './refused-repositories.ts';
import type { PassSends } from './sends.ts';
import type { TransferJobs } from './transfer-jobs.ts';
import type { UnsentChanges } from './unsent-changes.ts';

/**
 * State of one pass, shared by `observe/`, `pull/` and `push/`.
 *
 * A `PassRequest` (`pass-request.ts`) starts the pass; `announcement.ts` decides whether events report it. From the
 * parent's changes (`parent-changes.ts`), storage's lists (`lists.ts`) and pending changes (`unsent-changes.ts`),
 * `observe/` collects three views per tag, and plans the action. During execution, `transfer-jobs.ts` submits jobs for
 * blobs and waits for them, `local-manifest.ts` reads manifests of this layer, `order.ts` sorts images and blobs,
 * `tree-budget.ts` bounds one image and `oversized.ts` remembers images beyond it, `left-out.ts` what the layer lacks
 * of the images that it has, `left-out-records.ts` records it for the layers below, `refused-repositories.ts` what the
 * parent refuses, `parking.ts` records changes that the parent refused, and `placeholder.ts` builds the manifest that
 * replaces a tag at a parent without deletion of tags. `sends.ts` knows what passes send at the same time.
 * `pass-prefetch.ts` asks before an answer is known to be needed. `pass-stats.ts` counts, and returns the result at the
 * end. `pass-caches.ts` holds what the passes of a term remember.
 */

/** Dependencies and settings of a pass. */
export type PassTools = {
  bus: FencedBus;
  announcement: Pick<PassAnnouncement, 'announced'>;
  volume: Volume;
  parent: ParentReader;
  pushClient: PushClient;
  /** Deltas of the parent, and what decides whether they save time. Absent: none are asked for. */
  deltas?: DeltaOffers & DeltaBases;
  deltaPace?: DeltaPace;
  configuration: Configuration;
  log: Log;
  /** This process, as the holder of claims. */
  by: string;
  /** Name of the layer. */
  layer: string;
  /** If the window, a pause or the configuration ends the pass, its reason is a Fault: see `endedBy` in `pass.ts`. */
  signal: AbortSignal;
  /** When the window closes; absent if the pass has no deadline. */
  until?: number;
};

/** State that the parts of one pass share. */
export type PassContext = PassTools & {
  passRequest: PassRequest;
  /** Changes that the parent reported; undefined if everything, or only the request's scope, is compared. */
  parentChanges: ParentChanges | undefined;
  pass: string;
  /** The parent has answered as a Terrace. */
  isBelowTerrace: boolean;
  prefetch: PassPrefetch;
  transferJobs: Pick<TransferJobs, 'download' | 'upload'>;
  /** What the layer lacks, for the figure of synchronization. */
  behind: BehindBook;
  unsentChanges: UnsentChanges;
  /** Tags that passes send. */
  sends: PassSends;
  parking: Parking;
  /** Children of indexes that the parent left out, or does not have, by `partOf`, with the fault of its answer. */
  leftOutByParent: Map<string, Fault>;
  oversized: Oversized;
  failedParts: FailedParts;
  leftOut: LeftOutContent;
  /** Why lists of referrers of a repository could not be read in this pass. */
  hiddenReferrers: Map<Repository, LeftOutItem>;
  leftOutRecords: LeftOutRecords;
  refused: RefusedRepositories;
  stats: PassStats;
  /** Deletions by digest at the parent, one at a time per repository: each deletes the tags of the manifest, too. */
  deletions: KeyedLock;
};

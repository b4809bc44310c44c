import { hash } from 'node:crypto';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { Garbage } from '#proto/content/maintenance.ts';
import type { Log } from '#proto/contract/log.ts';
import { RESERVE } from '#proto/volume/space.ts';
import type { Audit } from '../audit/audit.ts';
import type { BlobStore } from '../content/blob-store.ts';
import type { IngestManager } from '../content/content-store.ts';
import { GRACE_MS, type Grace } from '../content/grace.ts';
import type { DeltaCache } from '../deltas/delta-cache.ts';
import type { RefusedPairs } from '../deltas/refused-pairs.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { DigestSet } from './digest-set.ts';

/** How long content that nothing names is retained, in ms. */
export type GarbageRules = {
  /** After the last request for it. */
  graceMs: number;
  /** Uploads, after their last activity. */
  uploadsMs: number;
  /** Transfers, after their last activity; also blobs that arrived over the link and that no manifest ever named. */
  transfersMs: number;
};

/** Counters of a run; its steps add to them. */
export type SweepResult = Omit<Garbage, 'dryRun' | 'ms'>;

export type SweepDeps = {
  metadata: Metadata;
  store: BlobStore;
  ingests: IngestManager;
  grace: Grace;
  deltas: DeltaCache;
  refusedPairs: RefusedPairs;
  locks: KeyedLock;
  publish: Bus['publish'];
  audit: Audit;
  log: Log;
  /** By which content ages, in ms. */
  now: () => number;
  /** Wall clock, in ms since 1970: for times of files. */
  wall: () => number;
};

/** Context of a run, shared by its steps. */
export type Sweep = SweepDeps & {
  data: string;
  rules: GarbageRules;
  maxSlice: number;
  found: SweepResult;
  /** Only counts. */
  dryRun: boolean;
  /** What is protected by its grace alone is not. */
  endsGrace: boolean;
  /** In a dry run: links that would be dropped (`linkDigest`). Otherwise empty. */
  droppable: DigestSet;
  /** Aborts when storage shuts down. */
  signal: AbortSignal;
};

/** A digest that stands for a link. */
export const linkDigest = (repository: string, digest: string): string =>
  hash('sha256', `${repository}!${digest}`);

/** Maintenance settings of a configuration. `scrubRate` in bytes/s, `reserve` in bytes. */
export type Maintenance = {
  garbage: GarbageRules;
  scrubRate: number;
  reserve: number;
  /** Absent: no delta is evicted. */
  deltas?: { isOff: boolean; maxBytes: number } | undefined;
  /** Patterns of the repositories that are pushed to the parent; undefined: all. */
  selected?: readonly string[] | undefined;
  /** False: changes made here are recorded, and never pushed. True by default. */
  pushes?: boolean | undefined;
  /** False: what is recorded of a parent that the layer had before is not shown. True by default. */
  hasParent?: boolean | undefined;
};

/** Until the first configuration is received. */
export const DEFAULT_MAINTENANCE: Maintenance = {
  garbage: { graceMs: GRACE_MS, uploadsMs: 24 * GRACE_MS, transfersMs: 30 * 24 * GRACE_MS },
  scrubRate: 20_000_000,
  reserve: RESERVE,
};

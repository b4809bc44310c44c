import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { Garbage } from '#proto/content/maintenance.ts';
import type { Log } from '#proto/contract/log.ts';
import type { Audit } from '../audit/audit.ts';
import type { BlobStore } from '../content/blob-store.ts';
import type { Grace } from '../content/grace.ts';
import type { Ingests } from '../content/ingests.ts';
import type { Metadata } from '../metadata/metadata.ts';

/** How long what nothing names is kept, in ms. */
export type GarbageRules = {
  /** After somebody was told of it. */
  graceMs: number;
  /** Uploads, after their last sign of life. */
  uploadsMs: number;
  /** The same of transfers; also what came over the link and no manifest ever named. */
  transfersMs: number;
};

/** What a run found; its deps add to it. */
export type Found = Omit<Garbage, 'dryRun' | 'ms'>;

export type SweepDeps = {
  metadata: Metadata;
  store: BlobStore;
  ingests: Ingests;
  grace: Grace;
  locks: KeyedLock;
  publish: Bus['publish'];
  audit: Audit;
  log: Log;
  now: () => number;
};

/** What the deps of a run need. */
export type Sweep = SweepDeps & {
  data: string;
  rules: GarbageRules;
  found: Found;
  /** Links that would go, as `<repository>!<digest>`; undefined where they do go. */
  dry: Set<string> | undefined;
  /** Aborts when storage ends. */
  signal: AbortSignal;
};

/** What a configuration says of how storage keeps itself in order; bytes, and bytes a second. */
export type Upkeep = {
  garbage: GarbageRules;
  scrubRate: number;
  reserve: number;
  /** Patterns of what goes up; without them, all may. */
  selected?: readonly string[] | undefined;
};

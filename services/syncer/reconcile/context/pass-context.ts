import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import type { ParentReader } from '../../link/parent/parent.ts';
import type { Upward } from '../../link/parent/upward.ts';
import type { PassAnnouncement } from './announcement.ts';
import type { Arrivals } from './arrivals.ts';
import type { UnsentChanges } from './outgoing.ts';
import type { Oversized } from './oversized.ts';
import type { ParentChanges } from './parent-changes.ts';
import type { Parking } from './parking.ts';
import type { PassRequest } from './pass-request.ts';
import type { PassStats } from './tally.ts';

/** What a pass works with, whatever it is for. */
export type PassTools = {
  bus: FencedBus;
  announcement: Pick<PassAnnouncement, 'announced'>;
  volume: Volume;
  parent: ParentReader;
  upward: Upward;
  configuration: Configuration;
  log: Log;
  /** This process, and the name of its layer. */
  by: string;
  layer: string;
  /** One that ends because of the window or the configuration has a Fault as its reason: see `endedBy`. */
  signal: AbortSignal;
  /** When the window closes. */
  until?: number;
};

/** What the parts of one pass share. */
export type PassContext = PassTools & {
  passRequest: PassRequest;
  /** What the parent told; undefined where everything is looked at, or just what the wish says. */
  parentChanges: ParentChanges | undefined;
  pass: string;
  arrivals: Pick<Arrivals, 'bring' | 'send'>;
  unsentChanges: UnsentChanges;
  parking: Parking;
  /** Children that the parent itself left out. */
  skippedByParent: Set<Digest>;
  oversized: Oversized;
  stats: PassStats;
  /** One at a time for each repository: what is deleted at the parent by digest takes tags with it. */
  deletions: KeyedLock;
};

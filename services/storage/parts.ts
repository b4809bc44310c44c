import type { Bus } from '#proto/bus.ts';
import type { KeyedLock } from '#proto/keyed-lock.ts';
import type { Log } from '#proto/log.ts';
import type { Announcements } from './announcements.ts';
import type { Audit } from './audit.ts';
import type { BlobStore } from './blob-store.ts';
import type { Commits } from './commit.ts';
import type { Grace } from './grace.ts';
import type { Ingests } from './ingests.ts';
import type { Metadata } from './metadata.ts';
import type { SpaceGuard } from './space.ts';

/** What the modules of storage are made of. */
export type Parts = {
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
  announcements: Announcements;
  audit: Audit;
  log: Log;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Milliseconds of a clock that only goes forward. */
  running: () => number;
};

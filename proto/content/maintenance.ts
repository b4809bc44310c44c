import { AccountName } from '../accounts/accounts.ts';
import { described, event, request } from '../contract/contract.ts';
import { Bytes, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, MediaType, Repository } from '../oci/names.ts';
import { HeldContent, MAX_REASONS } from './held-content.ts';

/** Maintenance of storage: garbage collection, scrub, free space. */

/** What garbage collection deleted, or, in a dry run, would delete. */
export const Garbage = Type.Object({
  dryRun: Type.Boolean({ description: 'Nothing was deleted: the counts say what would be.' }),
  links: Type.Integer({ description: 'Links of blobs in a repository in which no manifest names them.' }),
  blobs: Type.Integer({ description: 'Committed content that nothing links.' }),
  bytes: described(Bytes, 'Bytes of these blobs, of abandoned ingests and of stray files.'),
  ingests: Type.Integer({ description: 'Abandoned uploads and transfers.' }),
  repositories: Type.Integer({ description: 'Empty repositories.' }),
  strays: Type.Integer({ description: 'Files that a crash left without a record.' }),
  ms: Type.Integer({ description: 'Duration, in ms.' }),
});
export type Garbage = Static<typeof Garbage>;

/** `held`: if requested, what was left, and why. */
export const Collected = Type.Object({
  ...Garbage.properties,
  held: Type.Optional(
    Type.Array(HeldContent, { maxItems: MAX_REASONS, description: 'What is left, by reason.' }),
  ),
});
export type Collected = Static<typeof Collected>;

/**
 * Answered at the end of the run, with signs of life until then. `explain`: also says what is left. `now`: content that
 * its grace alone protects is deleted, too. A push that was answered that such content is here then fails with its
 * manifest, and has to be repeated; what repositories with an open upload link stays. Faults: `busy` if one is running
 * already.
 */
export const collectGarbage = request(
  'storage.garbage.collect',
  Type.Object({
    dryRun: Type.Boolean(),
    explain: Type.Optional(Type.Boolean()),
    now: Type.Optional(Type.Boolean()),
  }),
  Collected,
);

const account = Type.Optional(described(AccountName, 'Who requested it; absent for a scheduled run.'));

/** Garbage collection has ended. */
export const garbageCollected = event('garbage.collected', Type.Object({ ...Garbage.properties, account }));

export const MetadataDamage = Type.Array(Type.String({ maxLength: 300 }), {
  maxItems: 20,
  description: 'Damage of the metadata: one sentence each, with the file. Absent if nothing is damaged.',
});

export const Scrubbed = Type.Object({
  checked: Type.Integer({ description: 'Blobs that were read and hashed.' }),
  bytes: described(Bytes, 'Their bytes.'),
  damaged: Type.Array(Digest, {
    maxItems: 1_000,
    description: 'Blobs whose bytes were wrong or missing: quarantined. The first 1,000.',
  }),
  metadata: Type.Optional(MetadataDamage),
  ms: Type.Integer({ description: 'Duration, in ms.' }),
});
export type Scrubbed = Static<typeof Scrubbed>;

/** How far a running scrub is. */
export const ScrubProgress = Type.Object(
  {
    started: described(Instant, 'When it began.'),
    checked: Type.Integer({ minimum: 0, description: 'Blobs that were read and hashed.' }),
    blobs: Type.Integer({ minimum: 0, description: 'Blobs that the layer has.' }),
    bytes: described(Bytes, 'Bytes that were read.'),
    total: described(Bytes, 'Bytes of all blobs.'),
    damaged: Type.Integer({ minimum: 0, description: 'Blobs that were damaged.' }),
    rate: Type.Optional(described(Bytes, 'Bytes a second since it began.')),
    left: Type.Optional(Type.Number({ minimum: 0, description: 'Time left at that rate, in seconds.' })),
  },
  { description: 'A running scrub.' },
);
export type ScrubProgress = Static<typeof ScrubProgress>;

/**
 * Reads and hashes all committed content, at most `rate` bytes/s (default: from the configuration). Damaged content is
 * moved to the folder `quarantine` of the data volume, and is absent for readers until a client or the parent supplies
 * it again. `join`: if one is running already, it is answered with the result of that one. It continues if nobody waits
 * for the answer any more. Faults: `busy` if one is running already, without `join`.
 */
export const scrub = request(
  'storage.scrub.run',
  Type.Object({
    rate: Type.Optional(Type.Integer({ minimum: 1 })),
    join: Type.Optional(Type.Boolean()),
  }),
  Scrubbed,
);

/** Absent while no scrub runs. The status of storage has it, too. */
export const scrubProgress = request(
  'storage.scrub.progress',
  Type.Object({}),
  Type.Object({ running: Type.Optional(ScrubProgress) }),
);
/**
 * Checks one blob or manifest that a reader could not read, as `scrub` checks all. Answered at the end, with signs of
 * life until then. `intact` is false if the content was quarantined, or does not exist.
 */
export const checkContent = request(
  'storage.blob.check',
  Type.Object({ digest: Digest }),
  Type.Object({ intact: Type.Boolean() }),
);
/** A scrub has ended. */
export const scrubFinished = event('scrub.finished', Type.Object({ ...Scrubbed.properties, account }));

/** Committed content whose bytes are damaged or missing, and were not supplied again yet. */
export const Damaged = Type.Object({
  digest: Digest,
  size: Bytes,
  /** Repositories that have it, at most 20: any of them that the parent has can supply it. */
  repositories: Type.Array(Repository, { maxItems: 20 }),
  /** Absent if it is not a manifest. */
  mediaType: Type.Optional(MediaType),
});
export type Damaged = Static<typeof Damaged>;

/** In bytewise order of digest. */
export const listDamaged = request(
  'storage.damage.list',
  Type.Object({
    after: Type.Optional(Digest),
    /** Bounded so that the names of their repositories fit into one message of the bus. */
    limit: Type.Integer({ minimum: 1, maximum: 100 }),
  }),
  Type.Object({ damaged: Type.Array(Damaged, { maxItems: 100 }), more: Type.Boolean() }),
);
/** Committed content is damaged or missing: readers do not find it until it is supplied again. */
export const blobDamaged = event(
  'blob.damaged',
  Type.Object({ digest: Digest, size: described(Bytes, 'Its size, in bytes.') }),
  {
    immediate: true,
  },
);

/** Free space of the data volume, and the reserve below which storage takes no new content. */
export const Space = Type.Object({
  free: described(Bytes, 'Free bytes.'),
  reserve: described(Bytes, 'Free bytes below which no new content is accepted.'),
  inodes: Type.Optional(
    Type.Object(
      { free: Type.Integer({ minimum: 0 }), reserve: Type.Integer({ minimum: 0 }) },
      { description: 'The same for the number of files; absent if the file system does not count them.' },
    ),
  ),
  low: Type.Boolean({ description: 'Less is free than the reserve.' }),
});
export type Space = Static<typeof Space>;

/** Free space fell below the reserve, or rose above it again. */
export const spaceChanged = event('space.changed', Space);

import { type Static, Type } from '@sinclair/typebox';
import { AccountName } from '../accounts/accounts.ts';
import { event, request } from '../contract/contract.ts';
import { Bytes, Digest, MediaType, Repository } from '../oci/names.ts';

/** How storage keeps itself in order: garbage collection, scrub, free space. */

/** What garbage collection took away, or would take. */
export const Garbage = Type.Object({
  dryRun: Type.Boolean(),
  /** Blobs taken out of a repository in which no manifest names them. */
  links: Type.Integer(),
  /** Committed content that nothing links any more. */
  blobs: Type.Integer(),
  /** Of those blobs, of abandoned ingests and of stray files. */
  bytes: Bytes,
  /** Uploads and transfers that nobody goes on with. */
  ingests: Type.Integer(),
  /** Repositories with nothing in them. */
  repositories: Type.Integer(),
  /** Files that a crash left without a record. */
  strays: Type.Integer(),
  ms: Type.Integer(),
});
export type Garbage = Static<typeof Garbage>;

/** Runs as long as it takes, with signs of life. Faults: `busy` where one runs already. */
export const collectGarbage = request(
  'storage.garbage.collect',
  Type.Object({ dryRun: Type.Boolean() }),
  Garbage,
);
export const garbageCollected = event(
  'garbage.collected',
  Type.Object({ ...Garbage.properties, account: Type.Optional(AccountName) }),
);

/** One sentence each: which file, and what of it. */
export const MetadataDamage = Type.Array(Type.String({ maxLength: 300 }), { maxItems: 20 });

export const Scrubbed = Type.Object({
  /** Blobs that were read and hashed. */
  checked: Type.Integer(),
  bytes: Bytes,
  /** Those whose bytes were not theirs, or gone: quarantined. The first 1,000. */
  damaged: Type.Array(Digest, { maxItems: 1_000 }),
  /** What of the metadata is damaged, a sentence each; absent where nothing is. */
  metadata: Type.Optional(MetadataDamage),
  ms: Type.Integer(),
});
export type Scrubbed = Static<typeof Scrubbed>;

/**
 * Reads and hashes all committed content, at most `rate` bytes a second (default: that of the configuration).
 * What is damaged goes to the folder `quarantine` of the data volume and is answered as absent until it comes again,
 * from a client or from the parent. Faults: `busy` where one runs already.
 */
export const scrub = request(
  'storage.scrub.run',
  Type.Object({ rate: Type.Optional(Type.Integer({ minimum: 1 })) }),
  Scrubbed,
);
export const scrubFinished = event(
  'scrub.finished',
  Type.Object({ ...Scrubbed.properties, account: Type.Optional(AccountName) }),
);

/** Committed content whose bytes are damaged or gone, and that is not here again yet. */
export const Damaged = Type.Object({
  digest: Digest,
  size: Bytes,
  /** Those that have it, at most 20: whichever of them the parent knows can give it. */
  repositories: Type.Array(Repository, { maxItems: 20 }),
  /** Of a manifest; absent for another blob. */
  mediaType: Type.Optional(MediaType),
});
export type Damaged = Static<typeof Damaged>;

/** In bytewise order of digest. */
export const listDamaged = request(
  'storage.damage.list',
  Type.Object({
    after: Type.Optional(Digest),
    /** The names of so many fit into one message of the bus. */
    limit: Type.Integer({ minimum: 1, maximum: 100 }),
  }),
  Type.Object({ damaged: Type.Array(Damaged, { maxItems: 100 }), more: Type.Boolean() }),
);
export const blobDamaged = event('blob.damaged', Type.Object({ digest: Digest, size: Bytes }), {
  atOnce: true,
});

/** Free space of the data volume, and the reserve below which nothing new is taken. */
export const Space = Type.Object({
  free: Bytes,
  reserve: Bytes,
  /** The same for how many files it may still hold; absent where its file system does not count them. */
  inodes: Type.Optional(
    Type.Object({ free: Type.Integer({ minimum: 0 }), reserve: Type.Integer({ minimum: 0 }) }),
  ),
  low: Type.Boolean(),
});
export type Space = Static<typeof Space>;

/** Free space fell below the reserve, or is above it again. */
export const spaceChanged = event('space.changed', Space);

import { described, event, request } from '../contract/contract.ts';
import { Bytes, Count, FilePath, Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { MAX_TRUSTED_KEYS } from '../document/archive.ts';
import { ConflictPolicy, Platform } from '../document/selection.ts';
import { Digest, Repository, Tag } from '../oci/names.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { MAX_MISSING_SETS, MAX_SELECTION, PeerName, SetNumber } from './list.ts';
import { MIN_PART_BYTES } from './packing.ts';

/**
 * Export and import of content as files. Storage reads and writes the folders itself: their paths, and those of keys,
 * are absolute, and as storage sees them. One export or import runs at a time.
 */

/** Max size of a part, in bytes: FAT32 has no files of 4 GiB. */
export const PART_BYTES = 4_000_000_000;

export const ExportedSet = Type.Object({
  target: described(PeerName, 'Side that the set is for.'),
  number: SetNumber,
  parts: described(Count, 'Parts with content.'),
  parity: described(Count, 'Files from which lost parts are computed again.'),
  bytes: described(Bytes, 'Bytes of all files.'),
  content: described(Count, 'Blobs and manifests in the parts.'),
  tags: described(Count, 'Tags in the list, with those that did not change.'),
  changed: described(Count, 'Tags that are new or moved since the last set.'),
  deleted: described(Count, 'Tags that were deleted since the last set.'),
});
export type ExportedSet = Static<typeof ExportedSet>;

/**
 * Writes what the target lacks by the book as the next set into the folder. Answered at the end, with signs of life
 * until then. `since`: content of later sets is taken as lost, 0: of all sets. Without a change since the last set,
 * nothing is written unless `always` is set; `set` is then absent.
 * Faults: `archive-invalid`, `busy`, `no-space`, `blob-unknown`, `too-large`, `unavailable`.
 */
export const exportArchive = request(
  'storage.archive.export',
  Type.Object({
    folder: FilePath,
    /** By default the one of the last export into this folder, else `default`. */
    target: Type.Optional(PeerName),
    repositories: Type.Array(RepositoryPattern, { minItems: 1, maxItems: MAX_SELECTION }),
    /** Of the children of indexes; without it, all that the layer has. */
    platforms: Type.Optional(Type.Array(Platform, { minItems: 1, maxItems: 100 })),
    since: Type.Optional(Type.Integer({ minimum: 0, maximum: 999_999 })),
    partBytes: Type.Optional(Type.Integer({ minimum: MIN_PART_BYTES, maximum: Number.MAX_SAFE_INTEGER })),
    /** Private key, PEM. */
    keyFile: Type.Optional(FilePath),
    /** Parity, in percent of the bytes of the parts. */
    parity: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    always: Type.Optional(Type.Boolean()),
  }),
  Type.Object({
    /** Its name; the names of its files begin with it. */
    name: Type.Optional(Type.String({ maxLength: 160 })),
    set: Type.Optional(ExportedSet),
    /** The last set of the target, if nothing was written. */
    last: Type.Optional(SetNumber),
  }),
);

export const ImportedTags = Type.Object({
  moved: described(Count, 'Tags that are new here or were moved.'),
  deleted: described(Count, 'Tags that were deleted here.'),
  conflicts: described(Count, 'Tags that both sides had changed.'),
});

/** What an import did with the newest set of one sender. */
export const ImportResult = Type.Object({
  sender: PeerName,
  target: PeerName,
  number: SetNumber,
  /** `refused`: nothing was changed; the problems say why. `known`: it was imported before, or a later one was. */
  outcome: Type.Union([
    Type.Literal('imported'),
    Type.Literal('verified'),
    Type.Literal('known'),
    Type.Literal('refused'),
  ]),
  /** One sentence each, with the remedy; the first 20. */
  problems: Type.Array(Reason, { maxItems: 20 }),
  /** One sentence each. */
  warnings: Type.Array(Reason, { maxItems: 20 }),
  /** Sets that the sender should export again. */
  missing: Type.Array(SetNumber, { maxItems: MAX_MISSING_SETS }),
  signed: Type.Boolean(),
  /** It said something that no earlier set of the sender had: the sender is to know that it was imported. */
  news: Type.Boolean(),
  /** Blobs and manifests that came from the set. */
  content: Count,
  bytes: Bytes,
  tags: Type.Optional(ImportedTags),
});
export type ImportResult = Static<typeof ImportResult>;

/**
 * Imports the newest set of each sender in the folder, from which earlier sets in it may supply content. A set is
 * verified first, then its content is committed, then all of its tags are moved in one synced batch. A set that is
 * refused changes nothing. Answered at the end, with signs of life until then.
 * Faults: `archive-invalid`, `busy`, `no-space`, `unavailable`.
 */
export const importArchive = request(
  'storage.archive.import',
  Type.Object({
    folder: FilePath,
    /** Public keys, PEM, in addition to those of the configuration: with any, an unsigned set is refused. */
    keyFiles: Type.Array(FilePath, { maxItems: MAX_TRUSTED_KEYS }),
    /** Only verifies. */
    dryRun: Type.Boolean(),
    /** The sender may be another data volume than the one of the last set: it was replaced, or restored. */
    newSender: Type.Optional(Type.Boolean()),
    /** Whose content wins if both sides changed a tag: the set's by default. */
    conflict: Type.Optional(ConflictPolicy),
  }),
  Type.Object({
    results: Type.Array(ImportResult, { maxItems: 100 }),
    /** Lists in the folder that can't be used, one sentence each; the first 100. */
    unusable: Type.Array(Reason, { maxItems: 100 }),
  }),
);

/** The export or import that runs, if any: `total` bytes are to be done. */
export const archiveProgress = request(
  'storage.archive.progress',
  Type.Object({}),
  Type.Object({
    running: Type.Optional(Type.Object({ step: Type.String({ maxLength: 80 }), done: Bytes, total: Bytes })),
  }),
);

/** Stops the export or import that runs; what it was asked for then fails with `unavailable`. */
export const stopArchive = request('storage.archive.stop', Type.Object({}), Type.Object({}));

/** What this layer knows of one other side. */
export const Peer = Type.Object({
  name: PeerName,
  /** Last set that was exported for it. */
  exported: Type.Optional(SetNumber),
  /** Last set that it is known to have imported. */
  acknowledged: Type.Optional(SetNumber),
  /** Last set of it that was imported here. */
  imported: Type.Optional(SetNumber),
  /** Its sets that this layer lacks. */
  missing: Type.Array(SetNumber, { maxItems: MAX_MISSING_SETS }),
});

export const BookedSet = Type.Object({
  ...ExportedSet.properties,
  created: Instant,
  /** It is taken as lost: the next set has its content again. */
  forgotten: Type.Optional(Type.Literal(true)),
});
export type BookedSet = Static<typeof BookedSet>;

/** The book: all other sides, and the sets that were exported for them, the latest first. */
export const listArchives = request(
  'storage.archive.list',
  Type.Object({ target: Type.Optional(PeerName) }),
  Type.Object({
    peers: Type.Array(Peer, { maxItems: 500 }),
    sets: Type.Array(BookedSet, { maxItems: 500 }),
  }),
);

/**
 * Takes a set as lost: its content is exported again with the next one. Without a number, forgets everything that is
 * known of the other side: the next set is the first one of a new epoch, with all content.
 * Faults: `archive-invalid` if the book has no such set; `busy`.
 */
export const forgetArchive = request(
  'storage.archive.forget',
  Type.Object({ target: PeerName, number: Type.Optional(SetNumber) }),
  Type.Object({ content: Count }),
);

/** A set was exported. */
export const archiveExported = event('archive.exported', ExportedSet);

/** A set was imported: its tags are in force. */
export const archiveImported = event(
  'archive.imported',
  Type.Object({
    sender: described(PeerName, 'Layer that the set is from.'),
    number: SetNumber,
    content: described(Count, 'Blobs and manifests that came from the set.'),
    bytes: described(Bytes, 'Their bytes.'),
    ...ImportedTags.properties,
  }),
);

/** An imported set and this layer had both changed a tag; the content that lost is under `loserTag`. */
export const archiveConflict = event(
  'archive.conflict',
  Type.Object({
    sender: described(PeerName, 'Layer that the set is from.'),
    repository: Repository,
    tag: Tag,
    winner: described(Digest, 'Manifest that the tag points to now.'),
    loser: described(Digest, 'Manifest that lost.'),
    loserTag: described(Tag, 'Tag that keeps it reachable.'),
  }),
);

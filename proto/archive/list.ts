import { parseJson } from '../contract/bounded-json.ts';
import { check } from '../contract/contract.ts';
import { Fault } from '../contract/fault.ts';
import { notPlain } from '../contract/plain-data.ts';
import { Bytes, Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, MediaType, Repository, Tag } from '../oci/names.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { canonicalJson } from './canonical-json.ts';
import { MAX_SLICES } from './reed-solomon.ts';
import { slicesOf } from './slices.ts';

/*
 * Archives: content that is carried as files from one layer to another one that it never meets.
 *
 *   list.ts            the list of a set: what is in it, and the state of all selected tags
 *   set-names.ts       names of the files of a set
 *   packing.ts         which content goes into which part, at which offset
 *   tar.ts             the parts: tar archives, each an OCI image layout
 *   oci-index.ts       the `index.json` of a layout
 *   signature.ts       signs a list, and verifies it
 *   reed-solomon.ts    code by which lost slices are computed again; slices.ts cuts parts into slices
 *   canonical-json.ts  the same value is always the same text
 *   archives.ts        requests and events
 *
 * A set consists of a list, of parts with the content that the other side lacks, and of `index.json` for all of it. The
 * list is the truth: a set without one does not exist, and everything in a part is found by its offset and proved by
 * its digest, so nothing is ever unpacked. docs/design/archive-format.md has the format. All of this is pure.
 */

/** Max size of a list, in bytes. */
export const MAX_LIST_BYTES = 64 * 1024 * 1024;
/** Max JSON values in it: they take many times the memory of their text. */
const MAX_LIST_VALUES = 5_000_000;
export const MAX_TAG_ENTRIES = 200_000;
export const MAX_CONTENT_ENTRIES = 400_000;
export const MAX_PARTS = 9_999;
const MAX_REPOSITORIES = 20_000;
/** Max pieces of one blob, each in a part of its own. */
const MAX_PIECES = MAX_PARTS;
/** Max sets that are asked for again, and max blobs. */
export const MAX_MISSING_SETS = 100;
export const MAX_LACKING = 5_000;
export const MAX_SELECTION = 2_000;

export const FORMAT = 'terrace-archive';

/** Name of a layer, as in a configuration document. Also of the side that a set is for: a layer, or any name. */
export const PeerName = Type.String({
  pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$',
  maxLength: 63,
  description: 'Name of the layer that the files go to, or come from.',
});

/** One life of a book: a restored or copied layer begins a new one. */
export const EpochId = Type.String({ pattern: '^[0-9a-f]{32}$', maxLength: 32 });

/** Six digits, as in the names of the files. */
export const MAX_SET_NUMBER = 999_999;
export const SetNumber = Type.Integer({
  minimum: 1,
  maximum: MAX_SET_NUMBER,
  description: 'Number of the set.',
});

/** Where bytes of a blob are: in the part of this index, from 0, at this offset of the file. */
const Piece = Type.Object({
  part: Type.Integer({ minimum: 0, maximum: MAX_PARTS }),
  offset: Bytes,
  size: Bytes,
});
export type Piece = Static<typeof Piece>;

const Content = Type.Object({
  digest: Digest,
  size: Bytes,
  /** In order; several if no part has room for all of it. */
  pieces: Type.Array(Piece, { minItems: 1, maxItems: MAX_PIECES }),
});
export type Content = Static<typeof Content>;

/** `digest` is null: the tag was deleted. `mine`, `theirs`: its version, see proto/sync/tag-versions.ts. */
const TagEntry = Type.Object({
  tag: Tag,
  digest: Type.Union([Digest, Type.Null()]),
  mine: Count,
  theirs: Count,
});
export type ListedTag = Static<typeof TagEntry>;

const LeftOut = Type.Object({
  index: Digest,
  digest: Digest,
  platform: Type.String({ maxLength: 100 }),
  unavailable: Type.Optional(Type.Literal(true)),
});

const ListedRepository = Type.Object({
  name: Repository,
  /** All selected tags, changed or not, in bytewise order. */
  tags: Type.Array(TagEntry, { maxItems: MAX_TAG_ENTRIES }),
  /** Manifests that refer to others: signatures, SBOMs. */
  referrers: Type.Array(Digest, { maxItems: MAX_TAG_ENTRIES }),
  /** Children that an index leaves out. */
  leftOut: Type.Array(LeftOut, { maxItems: MAX_TAG_ENTRIES }),
});
export type ListedRepository = Static<typeof ListedRepository>;

/** A manifest that a tag points to, or a referrer. */
const RootManifest = Type.Object({
  digest: Digest,
  mediaType: MediaType,
  size: Bytes,
  artifactType: Type.Optional(Type.String({ maxLength: 8_192 })),
});
export type RootManifest = Static<typeof RootManifest>;

const Part = Type.Object({ size: Bytes, digest: Digest });
export type Part = Static<typeof Part>;

/** Slices of all parts, from which lost ones are computed: see reed-solomon.ts and slices.ts. */
const Parity = Type.Object({
  sliceBytes: Type.Integer({ minimum: 4_096, maximum: Number.MAX_SAFE_INTEGER }),
  /** Digest of each slice of the parts, in order. */
  slices: Type.Array(Digest, { minItems: 1, maxItems: MAX_SLICES }),
  /** Digest of each parity slice, in order. */
  parity: Type.Array(Digest, { minItems: 1, maxItems: MAX_SLICES }),
  /** Files that hold the parity slices, one after the other. */
  files: Type.Array(Type.Object({ size: Bytes }), { minItems: 1, maxItems: MAX_SLICES }),
});
export type Parity = Static<typeof Parity>;

export const ArchiveList = Type.Object({
  format: Type.Literal(FORMAT),
  version: Type.Literal(1),
  sender: Type.Object({
    layer: PeerName,
    instance: Type.String({ maxLength: 64 }),
    epoch: EpochId,
    /** When the epoch began. */
    since: Instant,
  }),
  target: Type.Object({
    name: PeerName,
    /** Of the last set that the sender imported from the target. */
    epoch: Type.Union([EpochId, Type.Null()]),
    /** Its number. */
    imported: Type.Union([SetNumber, Type.Null()]),
  }),
  number: SetNumber,
  /** Digest of the list of the set before; null for the first one of an epoch. */
  previous: Type.Union([Digest, Type.Null()]),
  created: Instant,
  /** Content of sets up to this number, and no other, is taken as present at the target; 0: of none. */
  since: Type.Integer({ minimum: 0, maximum: MAX_SET_NUMBER }),
  /** What the target should send again. */
  requests: Type.Object({
    /** Of the set of the target that could not be imported; null without requests. */
    epoch: Type.Union([EpochId, Type.Null()]),
    /** Sets that the sender lacks. */
    missing: Type.Array(SetNumber, { maxItems: MAX_MISSING_SETS }),
    /** Content that the sender lacks, whichever set had it. */
    lacking: Type.Array(Digest, { maxItems: MAX_LACKING }),
  }),
  /** None: the sender changes nothing at the target, it only acknowledges and asks. */
  selection: Type.Array(RepositoryPattern, { maxItems: MAX_SELECTION }),
  repositories: Type.Array(ListedRepository, { maxItems: MAX_REPOSITORIES }),
  manifests: Type.Array(RootManifest, { maxItems: MAX_CONTENT_ENTRIES }),
  parts: Type.Array(Part, { maxItems: MAX_PARTS }),
  content: Type.Array(Content, { maxItems: MAX_CONTENT_ENTRIES }),
  parity: Type.Optional(Parity),
});
export type ArchiveList = Static<typeof ArchiveList>;

/** The bytes of a list: the same for the same list. @throws Fault `too-large` */
export function encodeList(list: ArchiveList): Uint8Array {
  const bytes = Buffer.from(`${canonicalJson(check(ArchiveList, list))}\n`);
  if (bytes.byteLength <= MAX_LIST_BYTES) return bytes;
  throw new Fault(
    'too-large',
    `the list of the set would have ${bytes.byteLength} bytes, the limit is ${MAX_LIST_BYTES}: export fewer repositories at a time, each group with a --target of its own`,
  );
}

/**
 * Reads a list from outside, and checks that what it says of parts and content is consistent.
 * @throws Fault `malformed`, naming the field; `too-large`
 */
export function readList(bytes: Uint8Array): ArchiveList {
  if (bytes.byteLength > MAX_LIST_BYTES) {
    throw new Fault('too-large', `it has ${bytes.byteLength} bytes, the limit is ${MAX_LIST_BYTES}`);
  }
  let value: unknown;
  try {
    value = parseJson(bytes, { values: MAX_LIST_VALUES, depth: 16 });
  } catch (cause) {
    throw Fault.is(cause) ? cause : new Fault('malformed', 'it is not JSON in UTF-8', { cause });
  }
  const why = notPlain(value);
  if (why) throw new Fault('malformed', why);
  const list = check(ArchiveList, value);
  mustBeConsistent(list);
  return list;
}

function mustBeConsistent(list: ArchiveList): void {
  mustHaveFittingSlices(list);
  mustBeDistinct('repositories', list.repositories, ({ name }) => name);
  for (const { name, tags } of list.repositories) mustBeDistinct(`tags of ${name}`, tags, ({ tag }) => tag);
  mustBeDistinct('manifests', list.manifests, ({ digest }) => digest);
  mustBeDistinct('content', list.content, ({ digest }) => digest);
  for (const { digest, size, pieces } of list.content) {
    let sum = 0;
    for (const { part, offset, size: length } of pieces) {
      const file = list.parts[part];
      if (!file || offset + length > file.size) {
        throw new Fault('malformed', `content ${digest} is said to be outside of its part`);
      }
      sum += length;
    }
    if (sum !== size)
      throw new Fault('malformed', `the pieces of content ${digest} do not add up to its size`);
  }
}

function mustHaveFittingSlices({ parts, parity }: ArchiveList): void {
  if (!parity) return;
  const { sliceBytes, slices, files } = parity;
  const count = slicesOf(
    parts.map(({ size }) => size),
    sliceBytes,
  ).length;
  const inFiles = files.reduce((sum, { size }) => sum + size, 0);
  if (
    count === slices.length &&
    count + parity.parity.length <= MAX_SLICES &&
    inFiles === parity.parity.length * sliceBytes &&
    files.every(({ size }) => size % sliceBytes === 0)
  ) {
    return;
  }
  throw new Fault('malformed', 'the slices of parity do not fit the parts');
}

function mustBeDistinct<T>(what: string, list: readonly T[], nameOf: (one: T) => string): void {
  const names = new Set<string>();
  for (const one of list) {
    const name = nameOf(one);
    if (names.has(name)) throw new Fault('malformed', `${what}: ${name} is listed twice`);
    names.add(name);
  }
}

import { readFile, stat } from 'node:fs/promises';
import type { Static } from '@sinclair/typebox';
import { type exportArchive, PART_BYTES } from '#proto/archive/archives.ts';
import { type ArchiveList, encodeList, FORMAT, MAX_SET_NUMBER, type Part } from '#proto/archive/list.ts';
import { indexBytes, namedManifests, ociIndex } from '#proto/archive/oci-index.ts';
import { type PackedItem, type PackedPart, type Packing, pack } from '#proto/archive/packing.ts';
import {
  indexName,
  listName,
  parityName,
  partName,
  setName,
  signatureName,
  UNFINISHED,
} from '#proto/archive/set-names.ts';
import { MAX_KEY_BYTES, signatureOf } from '#proto/archive/signature.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { BlobStore } from '../../content/blob-store.ts';
import type { Grace } from '../../content/grace.ts';
import { type Metadata, put } from '../../metadata/metadata.ts';
import type { PeerRecord } from '../../metadata/records.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import { digestOfBytes } from '../book/digest-of-bytes.ts';
import { carriedUpTo, nextNumber, type PeerBook } from '../book/peer-book.ts';
import { stampedTags } from '../book/tag-stamps.ts';
import { parityBytes, writeParity } from '../parity/write-parity.ts';
import { type PieceHashes, writePart } from './part-file.ts';
import { recognizePending } from './pending-set.ts';
import { countsOf, exportedSet, recordSet } from './record-set.ts';
import { type SelectedContent, selectedContent } from './selected-content.ts';
import { TargetFolder, targetFault } from './target-folder.ts';

export type ExportDeps = {
  metadata: Metadata;
  store: BlobStore;
  grace: Grace;
  book: PeerBook;
  /** Name of this layer. */
  layer: string;
  now: () => number;
};
export type ExportQuery = Static<typeof exportArchive.query>;
type ExportReply = Static<typeof exportArchive.reply>;

/** Digests that are looked up at a time. */
const BATCH = 1_000;

/**
 * Writes a set in this order: parts, index, signature, a note in the book of what is about to be valid, the list, the
 * book. A set counts from the moment its list is in its place. A crash before that leaves files that the next export
 * deletes; one after that leaves the note, by which the next export recognizes the set (pending-set.ts).
 */
export async function exportSet(deps: ExportDeps, run: ArchiveRun, query: ExportQuery): Promise<ExportReply> {
  try {
    return await writeSet(deps, run, query);
  } catch (error) {
    throw targetFault(error, query.folder);
  }
}

async function writeSet(deps: ExportDeps, run: ArchiveRun, query: ExportQuery): Promise<ExportReply> {
  const { metadata, book, layer } = deps;
  const folder = await TargetFolder.open(query.folder);
  const marked = await folder.target();
  const target = query.target ?? marked ?? 'default';
  const sign = await signer(query.keyFile);
  const peer = await recognizePending(deps, target, await book.open(target));
  const number = Math.max(nextNumber(peer), (await folder.highestNumber(layer, target)) + 1);
  if (number > MAX_SET_NUMBER) {
    throw new Fault(
      'archive-invalid',
      `the numbers of sets for ${target} end at ${MAX_SET_NUMBER}: run "terrace export forget ${target}", and delete its sets from ${folder.path}`,
    );
  }
  const selection = [...new Set(query.repositories)].sort();
  await using reader = metadata.readerNow();
  const { stamps, forgotten } = await stampedTags(reader, target, selection, number);
  const selected = await selectedContent(
    { reader, store: deps.store, run, platforms: query.platforms },
    stamps,
  );
  // Until the parts are written, garbage collection leaves all of it.
  using _held = await deps.grace.holdAll([...selected.content.keys(), ...stamps.keys()]);
  const since = Math.min(query.since ?? peer.exported, peer.exported);
  // All of it is wanted: also what came from the target.
  const needed = await lacking(metadata, target, selected, query.since === 0 ? -1 : since);
  const { changed, deleted } = countsOf(selected.repositories, peer.exported);
  const isNews = needed.length + changed + deleted > 0;
  // The first set of an epoch says that it has begun.
  const isFirst = (await metadata.archiveSet(target, peer.exported))?.epoch !== peer.epoch;
  if (!isNews && !query.always && !isFirst) return { last: peer.exported };

  const name = setName(layer, target, number);
  const { partBytes = PART_BYTES, parity: percent } = query;
  const packing = pack(needed, partBytes);
  await folder.clear(name);
  const sizes = packing.parts.map(({ bytes: size }) => size);
  const hasParity = percent !== undefined && sizes.length > 0;
  await folder.mustHaveRoom(sizeOf(packing) + (hasParity ? parityBytes(sizes, percent) : 0));
  const parts = await writeParts(deps, run, { folder, name, packing, selected });
  const parity = hasParity
    ? await writeParity({
        parts: parts.map(({ size }, index) => ({ path: folder.file(partName(name, index)), size })),
        ...{ percent, run, maxBytes: partBytes },
        pathOf: (file) => folder.file(parityName(name, file)),
      })
    : undefined;
  const unsigned = listOf(deps, { target, number, selection, since, peer, selected, packing, parts });
  const list = parity ? { ...unsigned, parity } : unsigned;
  const bytes = encodeList(list);
  const digest = digestOfBytes(bytes);
  const roots = namedManifests(selected.repositories, selected.manifests).values();
  await folder.put(indexName(name), Buffer.from(ociIndex(roots)));
  if (sign) await folder.put(signatureName(name), Buffer.from(sign(bytes)));
  // Before the list: once that is in its place, nothing of the set may fail.
  if (marked === undefined || (query.target !== undefined && marked !== target))
    await folder.setTarget(target);
  await folder.prepare(listName(name), bytes);
  const pending = { number, list: digest, folder: folder.path };
  await metadata.write(put.peer(target, { ...peer, pending }));
  run.mustGoOn();
  await folder.finish(listName(name));
  await folder.sync();
  const set = exportedSet(list, bytes.byteLength, peer.exported);
  await metadata.write(forgotten);
  await recordSet(metadata, peer, { set, list, digest });
  return { name, set };
}

async function signer(keyFile: string | undefined): Promise<((bytes: Uint8Array) => string) | undefined> {
  if (keyFile === undefined) return undefined;
  const size = await stat(keyFile).then(
    (stats) => stats.size,
    () => undefined,
  );
  if (size === undefined || size > MAX_KEY_BYTES) {
    throw new Fault(
      'archive-invalid',
      `the key ${keyFile} can't be read: name a file with a private key in PEM`,
    );
  }
  const pem = await readFile(keyFile, 'utf8');
  // An unusable key is found before anything is written.
  signatureOf(Buffer.alloc(0), pem);
  return (bytes) => signatureOf(bytes, pem);
}

/** What no set up to `since` has carried, in the order in which it is packed. */
async function lacking(
  metadata: Metadata,
  target: string,
  { content, repositories, manifests }: SelectedContent,
  since: number,
): Promise<PackedItem[]> {
  const named = namedManifests(repositories, manifests);
  const items: PackedItem[] = [];
  const all = [...content];
  for (let at = 0; at < all.length; at += BATCH) {
    const batch = all.slice(at, at + BATCH);
    const carried = await carriedUpTo(
      metadata,
      target,
      batch.map(([digest]) => digest),
      since,
    );
    for (const [i, [digest, size]] of batch.entries()) {
      const root = named.get(digest);
      if (!carried[i]) items.push({ digest, size, indexBytes: root ? indexBytes(root) : 0 });
    }
  }
  return items;
}

const sizeOf = ({ parts }: Packing): number => parts.reduce((sum, { bytes }) => sum + bytes, 0);

async function writeParts(
  { store }: ExportDeps,
  run: ArchiveRun,
  set: { folder: TargetFolder; name: string; packing: Packing; selected: SelectedContent },
): Promise<Part[]> {
  const { folder, name, packing, selected } = set;
  const { parts } = packing;
  const content = parts.flatMap(({ entries }) => entries).reduce((sum, { size }) => sum + size, 0);
  const hashes: PieceHashes = new Map();
  const written: Part[] = [];
  run.begin('writing parts', content);
  for (const [index, part] of parts.entries()) {
    const own = rootsIn(part, selected);
    const file = partName(name, index);
    const path = folder.file(`${file}${UNFINISHED}`);
    written.push(await writePart(path, part, ociIndex(own), { store, run, hashes }));
    await folder.finish(file);
  }
  return written;
}

/** The manifests for the `index.json` of a part: those of which it has everything. */
function rootsIn({ entries }: PackedPart, { repositories, manifests, named, content }: SelectedContent) {
  const here = new Set(entries.flatMap(({ digest, piece }) => (piece ? [] : digest)));
  const isComplete = (digest: string): boolean =>
    // What is not part of the selection is left out everywhere.
    !content.has(digest) || (here.has(digest) && (named.get(digest) ?? []).every(isComplete));
  const roots = namedManifests(repositories, manifests).values();
  return [...roots].filter(({ digest }) => here.has(digest) && isComplete(digest));
}

function listOf(
  { layer, now }: ExportDeps,
  set: {
    target: string;
    number: number;
    selection: string[];
    since: number;
    peer: PeerRecord;
    selected: SelectedContent;
    packing: Packing;
    parts: Part[];
  },
): ArchiveList {
  const { target, number, selection, since, peer, selected, packing, parts } = set;
  const { imported, requests } = peer;
  const byDigest = (a: { digest: string }, b: { digest: string }) => (a.digest < b.digest ? -1 : 1);
  return {
    format: FORMAT,
    version: 1,
    sender: { layer, instance: peer.bound.instance, epoch: peer.epoch, since: peer.since },
    target: { name: target, epoch: imported?.epoch ?? null, imported: imported?.number ?? null },
    number,
    previous: peer.pending?.list ?? peer.list ?? null,
    created: now(),
    since,
    requests: { epoch: requests?.epoch ?? null, missing: peer.missing, lacking: peer.lacking },
    selection,
    repositories: selected.repositories,
    manifests: [...selected.manifests.values()].sort(byDigest),
    parts,
    content: [...packing.pieces]
      .map(([digest, pieces]) => ({ digest, size: pieces.reduce((sum, { size }) => sum + size, 0), pieces }))
      .sort(byDigest),
  };
}

import { each } from '#proto/async/each.ts';
import { kinds } from '../metadata/keys.ts';
import { drop } from '../metadata/metadata.ts';
import { DigestSet, type Slice } from './digest-set.ts';
import { linkDigest, type Sweep } from './sweep.ts';
import { dropDeltasTo } from './sweep-deltas.ts';

/** Default of blobs per slice, which bounds memory to 64 MiB. Each slice reads all links and manifests. */
export const MAX_SLICE = 2_000_000;
/** Removals at a time: LevelDB syncs concurrent batches together. */
const REMOVALS = 16;
/** Blobs whose removal is prepared at a time, which bounds memory. */
const PAGE = 1_000;

/** Size in bytes by digest; undefined for damaged content, of which only the record is left. */
type Page = Map<string, number | undefined>;

/** Removes committed content that nothing names, and the records of such content that is damaged. */
export async function sweepContent(sweep: Sweep): Promise<void> {
  const { metadata, grace, rules, maxSlice, now } = sweep;
  for await (const [digest, { since }] of metadata.allTransferred()) {
    const isExpired = since + rules.transfersMs <= now();
    if (isExpired && !sweep.dryRun && !grace.protects(digest))
      await metadata.writeUnsynced(drop.transferred(digest));
  }
  const of = Math.max(1, Math.ceil(metadata.counters.blobs / maxSlice));
  for (let index = 0; index < of; index += 1) await sweepSlice(sweep, { index, of });
}

async function sweepSlice(sweep: Sweep, slice: Slice): Promise<void> {
  const { metadata, grace } = sweep;
  // Before the names are read: content that is asked for from now on cannot be marked.
  using _ = grace.watch();
  const names = await namedContent(sweep, slice);
  const page: Page = new Map();
  const add = async (digest: string, size: number | undefined) => {
    if (!names.covers(digest) || names.has(digest) || !grace.mark(digest, sweep.endsGrace)) return;
    page.set(digest, size);
    if (page.size === PAGE) await removeAll(sweep, page);
  };
  try {
    for await (const [digest, { size }] of metadata.allBlobs()) await add(digest, size);
    for await (const [digest] of metadata.allDamaged()) await add(digest, undefined);
    await removeAll(sweep, page);
  } finally {
    for (const digest of page.keys()) grace.unmark(digest);
  }
}

/** All content of the slice that a link, a manifest or the record of a delta names. */
async function namedContent(
  { metadata, dryRun, droppable, signal }: Sweep,
  slice: Slice,
): Promise<DigestSet> {
  const names = new DigestSet(slice);
  for (const kind of [kinds.link, kinds.manifest]) {
    for await (const [repository, digest] of metadata.named(kind)) {
      signal.throwIfAborted();
      const isDropped = dryRun && kind === kinds.link && droppable.has(linkDigest(repository, digest));
      if (!isDropped) names.add(digest);
    }
  }
  for await (const [digest] of metadata.allDeltas()) names.add(digest);
  return names;
}

/** Removes the blobs of the page, and empties it. They are marked, so a request is noticed. */
async function removeAll(sweep: Sweep, page: Page): Promise<void> {
  await each(page, REMOVALS, async ([digest, size]) => {
    sweep.signal.throwIfAborted();
    await removeContent(sweep, digest, size);
    sweep.grace.unmark(digest);
    page.delete(digest);
  });
}

async function removeContent(sweep: Sweep, digest: string, size: number | undefined): Promise<void> {
  const { metadata, store, grace, locks, found, dryRun } = sweep;
  if ((await findWaiting(sweep, [digest])).has(digest)) return;
  let isDeleted = false;
  await locks.run(`blob ${digest}`, async () => {
    const isRemoved = await grace.remove([digest], async () => {
      if (dryRun) return;
      // Record before file: a name without content must never exist.
      await metadata.write(drop.blob(digest));
      await store.remove(digest);
    });
    isDeleted = isRemoved;
    if (!isRemoved || size === undefined) return;
    found.blobs += 1;
    found.bytes += size;
  });
  if (isDeleted) await dropDeltasTo(sweep, digest);
}

/**
 * Blobs that arrived over the link and may yet be named, with the time for which they are retained, in ms: the rest of
 * an image may need many windows.
 */
export async function findWaiting(
  { metadata, rules, now }: Sweep,
  digests: string[],
): Promise<Map<string, number>> {
  const records = await metadata.transferredByDigest(digests);
  const waiting = new Map<string, number>();
  for (const [index, digest] of digests.entries()) {
    const leftMs = (records[index]?.since ?? Number.NEGATIVE_INFINITY) + rules.transfersMs - now();
    if (leftMs > 0) waiting.set(digest, leftMs);
  }
  return waiting;
}

import { kinds } from '../metadata/keys.ts';
import { drop } from '../metadata/metadata.ts';
import type { Sweep } from './sweep.ts';

/** Blobs checked at a time, which bounds memory. Each page reads all links and manifests. */
const PAGE = 20_000;

/** Size in bytes by digest; undefined for damaged content, of which only the record is left. */
type Page = Map<string, number | undefined>;

/** Removes committed content that no link and no manifest names, and the records of such content that is damaged. */
export async function sweepContent(sweep: Sweep): Promise<void> {
  const { metadata, grace, rules, now } = sweep;
  for await (const [digest, { since }] of metadata.allTransferred()) {
    const isExpired = since + rules.transfersMs <= now();
    if (isExpired && !sweep.dryRun && !grace.protects(digest))
      await metadata.writeUnsynced(drop.transferred(digest));
  }
  const page: Page = new Map();
  const add = async (digest: string, size: number | undefined) => {
    if (grace.mark(digest)) page.set(digest, size);
    if (page.size === PAGE) await removeUnnamed(sweep, page);
  };
  try {
    for await (const [digest, { size }] of metadata.allBlobs()) await add(digest, size);
    for await (const [digest] of metadata.allDamaged()) await add(digest, undefined);
    await removeUnnamed(sweep, page);
  } finally {
    for (const digest of page.keys()) grace.unmark(digest);
  }
}

/** Removes the blobs of the page that nothing names, and empties it. They are marked, so a request is noticed. */
async function removeUnnamed(sweep: Sweep, page: Page): Promise<void> {
  const { metadata, grace, droppable } = sweep;
  for (const kind of [kinds.link, kinds.manifest]) {
    if (page.size === 0) return;
    for await (const [repository, digest] of metadata.named(kind)) {
      if (kind === kinds.link && droppable.has(`${repository}!${digest}`)) continue;
      if (page.delete(digest)) grace.unmark(digest);
    }
  }
  for (const [digest, size] of page) {
    sweep.signal.throwIfAborted();
    await removeContent(sweep, digest, size);
    grace.unmark(digest);
    page.delete(digest);
  }
}

async function removeContent(sweep: Sweep, digest: string, size: number | undefined): Promise<void> {
  const { metadata, store, grace, locks, found, dryRun } = sweep;
  if ((await findWaiting(sweep, [digest])).has(digest)) return;
  await locks.run(`blob ${digest}`, async () => {
    const isRemoved = await grace.remove([digest], async () => {
      if (dryRun) return;
      // Record before file: a name without content must never exist.
      await metadata.write(drop.blob(digest));
      await store.remove(digest);
    });
    if (!isRemoved || size === undefined) return;
    found.blobs += 1;
    found.bytes += size;
  });
}

/** Blobs that arrived over the link and may yet be named: the rest of an image may need many windows. */
export async function findWaiting({ metadata, rules, now }: Sweep, digests: string[]): Promise<Set<string>> {
  const records = await metadata.transferredByDigest(digests);
  const isRetained = (since: number | undefined) => since !== undefined && now() < since + rules.transfersMs;
  return new Set(digests.filter((_, i) => isRetained(records[i]?.since)));
}

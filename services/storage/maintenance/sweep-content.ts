import { drop } from '../metadata/metadata.ts';
import type { Sweep } from './sweep.ts';

/** Blobs judged at a time: what a run holds in memory. Each page is a look at all links and manifests. */
const PAGE = 20_000;

/** Size in bytes; undefined for content that is damaged already, of which only the record is left. */
type Page = Map<string, number | undefined>;

/** Removes committed content that no link and no manifest names, and the memory of such that was damaged. */
export async function sweepContent(sweep: Sweep): Promise<void> {
  const { metadata, grace, rules, now } = sweep;
  for await (const [digest, { since }] of metadata.allTransferred()) {
    const over = since + rules.transfersMs <= now();
    if (over && !sweep.dry && !grace.protects(digest)) await metadata.note(drop.transferred(digest));
  }
  const page: Page = new Map();
  const add = async (digest: string, size: number | undefined) => {
    if (grace.mark(digest)) page.set(digest, size);
    if (page.size === PAGE) await settle(sweep, page);
  };
  try {
    for await (const [digest, { size }] of metadata.allBlobs()) await add(digest, size);
    for await (const [digest] of metadata.allDamaged()) await add(digest, undefined);
    await settle(sweep, page);
  } finally {
    for (const digest of page.keys()) grace.unmark(digest);
  }
}

/** Removes those of the page that nothing names, and empties it. They are marked, so whoever wants one is heard. */
async function settle(sweep: Sweep, page: Page): Promise<void> {
  const { metadata, grace, dry } = sweep;
  for (const kind of ['l', 'm'] as const) {
    if (page.size === 0) return;
    for await (const [repository, digest] of metadata.named(kind)) {
      if (kind === 'l' && dry?.has(`${repository}!${digest}`)) continue;
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
  const { metadata, store, grace, locks, found, dry } = sweep;
  if ((await waiting(sweep, [digest])).has(digest)) return;
  await locks.run(`blob ${digest}`, async () => {
    const gone = await grace.remove([digest], async () => {
      if (dry) return;
      // The record first: a name without content must never be.
      await metadata.write(drop.blob(digest));
      await store.remove(digest);
    });
    if (!gone || size === undefined) return;
    found.blobs += 1;
    found.bytes += size;
  });
}

/** Those that came over the link and may yet be named: the rest of an image may need many windows of the link. */
export async function waiting({ metadata, rules, now }: Sweep, digests: string[]): Promise<Set<string>> {
  const records = await metadata.transferred(digests);
  const fresh = (since: number | undefined) => since !== undefined && now() < since + rules.transfersMs;
  return new Set(digests.filter((_, i) => fresh(records[i]?.since)));
}

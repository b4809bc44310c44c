import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { blobUnlinked } from '#proto/content/content-events.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { byAccount } from '../audit/asking.ts';
import { drop } from '../metadata/metadata.ts';
import type { Sweep } from './sweep.ts';
import { waiting } from './sweep-content.ts';

/** Links judged at a time: what a run holds in memory. */
const PAGE = 20_000;
/** Links in one batch: how long a repository is locked. */
const BATCH = 500;
/** Links that a dry run remembers at most; content that only others of them name is not counted then. */
const MAX_DRY = 500_000;

/**
 * Takes blobs out of repositories in which no manifest names them, and repositories with nothing in them out of the
 * catalog. A repository that somebody pushes to, or has since the grace began, is left alone as a whole: the first layer of
 * a push may have come hours before its manifest.
 */
export async function sweepLinks(sweep: Sweep): Promise<void> {
  for await (const [repository] of sweep.metadata.repositories()) {
    sweep.signal.throwIfAborted();
    if (!sweep.grace.mark(repository)) continue;
    try {
      await sweepRepository(sweep, repository);
      await dropIfEmpty(sweep, repository);
    } finally {
      sweep.grace.unmark(repository);
    }
  }
}

async function hasUpload({ metadata }: Sweep, repository: string): Promise<boolean> {
  for await (const [, { purpose, repository: of }] of metadata.ingests()) {
    if (purpose === 'upload' && of === repository) return true;
  }
  return false;
}

async function sweepRepository(sweep: Sweep, repository: string): Promise<void> {
  const { metadata, grace } = sweep;
  const page = new Set<string>();
  for await (const [digest] of metadata.linksOf(repository)) {
    if (!grace.protects(digest)) page.add(digest);
    if (page.size === PAGE) await settle(sweep, repository, page);
  }
  await settle(sweep, repository, page);
}

/** Drops those of the page that no manifest of the repository names, and empties the page. */
async function settle(sweep: Sweep, repository: string, page: Set<string>): Promise<void> {
  const { metadata, log, signal } = sweep;
  for await (const [digest] of metadata.manifestsOf(repository)) {
    if (page.size === 0) return;
    signal.throwIfAborted();
    const named = await namesIn(sweep, digest);
    if (!named) {
      log.warn({ repository, digest }, 'a manifest can not be read: no link of its repository is dropped');
      page.clear();
      return;
    }
    for (const name of named) page.delete(name);
  }
  const unnamed = [...page];
  page.clear();
  if (unnamed.length === 0 || (await hasUpload(sweep, repository))) return;
  for (let at = 0; at < unnamed.length; at += BATCH) {
    await dropLinks(sweep, repository, unnamed.slice(at, at + BATCH));
  }
}

/** A manifest put since the mark has taken the mark away; one put from now on finds the links gone. */
async function dropLinks(sweep: Sweep, repository: string, digests: string[]): Promise<void> {
  const { metadata, grace, locks, publish, found, dry } = sweep;
  await locks.run(`repository ${repository}`, async () => {
    const kept = await waiting(sweep, digests);
    if (!grace.marked(repository)) return;
    const gone = digests.filter((digest) => !kept.has(digest) && grace.mark(digest));
    found.links += gone.length;
    if (dry) {
      for (const digest of gone) {
        grace.unmark(digest);
        if (dry.size < MAX_DRY) dry.add(`${repository}!${digest}`);
      }
      return;
    }
    // Whoever asks whether the repository has one of them hears of it when the batch is written.
    await grace.remove(gone, () => metadata.write(gone.flatMap((digest) => drop.link(repository, digest))));
    for (const digest of gone) publish(blobUnlinked, { repository, digest, ...byAccount() });
  });
}

async function dropIfEmpty(sweep: Sweep, repository: string): Promise<void> {
  const { metadata, grace, locks, found, dry } = sweep;
  await locks.run(`repository ${repository}`, async () => {
    const empty = await metadata.empty(repository, (link) => !!dry?.has(link));
    if (!empty || (await hasUpload(sweep, repository)) || !grace.marked(repository)) return;
    found.repositories += 1;
    if (!dry) await metadata.write(drop.repository(repository));
  });
}

/**
 * Every digest that stands anywhere in the manifest: more than what it must have here, as a client may also have
 * pushed the layers that it need not. @returns undefined where its bytes are not whole
 */
async function namesIn({ store }: Sweep, digest: string): Promise<Set<string> | undefined> {
  try {
    const bytes = await readFile(store.file(digest));
    const [algorithm, hex] = splitDigest(digest);
    if (createHash(algorithm).update(bytes).digest('hex') !== hex) return undefined;
    // Written anew, so that no escape hides a digest.
    const text = JSON.stringify(JSON.parse(bytes.toString('utf8')));
    return new Set(text.match(/sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}/g));
  } catch {
    return undefined;
  }
}

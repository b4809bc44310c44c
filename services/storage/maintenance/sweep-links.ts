import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { blobUnlinked } from '#proto/content/content-events.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { byAccount } from '../audit/caller-context.ts';
import { drop } from '../metadata/metadata.ts';
import { onRepositoryEmptied } from '../repositories/left-out-referrers.ts';
import { DigestSet } from './digest-set.ts';
import { linkDigest, type Sweep } from './sweep.ts';
import { findWaiting } from './sweep-content.ts';

/** Links per batch, which bounds how long a repository is locked. */
const BATCH = 500;

/**
 * Unlinks blobs from repositories in which no manifest names them, and deletes empty repositories. A repository that
 * somebody pushes to, or has pushed to within the grace, is skipped: the first layer of a push may arrive hours before
 * its manifest.
 */
export async function sweepLinks(sweep: Sweep): Promise<void> {
  for await (const [repository] of sweep.metadata.repositories()) {
    sweep.signal.throwIfAborted();
    if (!sweep.grace.mark(repository, sweep.endsGrace)) continue;
    try {
      await sweepRepository(sweep, repository);
      await dropIfEmpty(sweep, repository);
    } finally {
      sweep.grace.unmark(repository);
    }
  }
}

export async function hasUpload({ metadata }: Sweep, repository: string): Promise<boolean> {
  for await (const [, { purpose, repository: target }] of metadata.ingests()) {
    if (purpose === 'upload' && target === repository) return true;
  }
  return false;
}

/** Drops the links that no manifest of the repository names. */
async function sweepRepository(sweep: Sweep, repository: string): Promise<void> {
  const { metadata, grace } = sweep;
  let names: DigestSet | undefined;
  let unnamed: string[] = [];
  const dropUnnamed = async () => {
    if (unnamed.length > 0 && !(await hasUpload(sweep, repository)))
      await dropLinks(sweep, repository, unnamed);
    unnamed = [];
  };
  for await (const [digest] of metadata.linksOfRepository(repository)) {
    if (!sweep.endsGrace && grace.protects(digest)) continue;
    names ??= await namesOf(sweep, repository);
    if (!names) return;
    if (!names.has(digest)) unnamed.push(digest);
    if (unnamed.length === BATCH) await dropUnnamed();
  }
  await dropUnnamed();
}

/** What the manifests of the repository name; undefined if one of them could not be read. */
async function namesOf(sweep: Sweep, repository: string): Promise<DigestSet | undefined> {
  const { metadata, log, signal } = sweep;
  const names = new DigestSet();
  for await (const [digest] of metadata.manifestsOfRepository(repository)) {
    signal.throwIfAborted();
    const named = await namesIn(sweep, digest);
    if (!named) {
      log.warn({ repository, digest }, 'manifest could not be read; no links of its repository are deleted');
      return undefined;
    }
    for (const name of named) names.add(name);
  }
  return names;
}

/** A manifest put since the mark has cleared the mark; one put from now on finds the links dropped. */
async function dropLinks(sweep: Sweep, repository: string, digests: string[]): Promise<void> {
  const { metadata, grace, locks, publish, found, dryRun, droppable } = sweep;
  await locks.run(`repository ${repository}`, async () => {
    const retained = await findWaiting(sweep, digests);
    if (!grace.marked(repository)) return;
    const unneeded = digests.filter((digest) => !retained.has(digest) && grace.mark(digest, sweep.endsGrace));
    found.links += unneeded.length;
    if (dryRun) {
      for (const digest of unneeded) {
        grace.unmark(digest);
        droppable.add(linkDigest(repository, digest));
      }
      return;
    }
    // A request that asks for one of them waits until the batch is written.
    await grace.remove(unneeded, () =>
      metadata.write(unneeded.flatMap((digest) => drop.link(repository, digest))),
    );
    for (const digest of unneeded) publish(blobUnlinked, { repository, digest, ...byAccount() });
  });
}

async function dropIfEmpty(sweep: Sweep, repository: string): Promise<void> {
  const { metadata, grace, locks, found, dryRun, droppable } = sweep;
  const isIgnored = (digest: string) => dryRun && droppable.has(linkDigest(repository, digest));
  await locks.run(`repository ${repository}`, async () => {
    const empty = await metadata.empty(repository, isIgnored);
    if (!empty || (await hasUpload(sweep, repository)) || !grace.marked(repository)) return;
    found.repositories += 1;
    if (dryRun) return;
    const records = await onRepositoryEmptied(metadata, repository);
    await metadata.write([...drop.repository(repository), ...records]);
  });
}

/**
 * Every digest anywhere in the manifest: more than the manifest requires, as a client may also have pushed layers that
 * are optional. @returns undefined if its bytes are damaged
 */
export async function namesIn({ store }: Sweep, digest: string): Promise<string[] | undefined> {
  try {
    const bytes = await readFile(store.file(digest));
    const [algorithm, hex] = splitDigest(digest);
    if (createHash(algorithm).update(bytes).digest('hex') !== hex) return undefined;
    // Serialized again, so that no escape sequence hides a digest.
    const text = JSON.stringify(JSON.parse(bytes.toString('utf8')));
    return text.match(/sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}/g) ?? [];
  } catch {
    return undefined;
  }
}

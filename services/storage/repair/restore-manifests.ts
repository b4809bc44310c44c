import { clip } from '#proto/contract/clip.ts';
import { type Descriptor, isManifestType, type Manifest } from '#proto/oci/manifest.ts';
import { type Change, put } from '../metadata/changes.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import { isIndex } from '../repositories/sparse.ts';
import type { Hints } from './hints.ts';
import { type Found, manifestIn, type Sources } from './manifest-file.ts';
import type { Records } from './records.ts';
import { say } from './report.ts';

/** Manifests of which nobody knows any more where they belong are kept here: nothing of it is sent to the parent. */
export const LOST_AND_FOUND = 'lost-and-found';

/** As `{}`, it is in every repository, and says nothing of where a manifest belongs. */
const TELLS_NOTHING_BYTES = 2;

/**
 * Gives manifests whose records are lost back to their repositories: what was pushed here and is nowhere else is among
 * them. Where one belongs is told by tags, by referrers, by what is to be sent, by events, by an index that names it, or
 * by its content, all of which the repository links.
 * @param candidates blobs that may be manifests
 */
export async function restoreManifests(deps: Sources, candidates: Set<string>, hints: Hints): Promise<void> {
  const { records, report } = deps;
  for (const [digest, repositories] of await witnessesOf(records, hints)) {
    for (const repository of repositories) await restore(deps, repository, digest);
  }
  const known = await knownOf(records);
  const repositories = await keysOf(records, prefix(kinds.repository));
  const homeless: [digest: string, found: Found][] = [];
  for (const digest of candidates) {
    const found = known.has(digest) ? undefined : await manifestIn(deps, digest);
    if (!found) continue;
    const homes = await homesOf(records, repositories, found.manifest);
    for (const repository of homes) await restore(deps, repository, digest);
    if (homes.length === 0) homeless.push([digest, found]);
  }
  await restoreChildren(deps);
  const now = await knownOf(records);
  for (const [digest, found] of homeless) {
    if (now.has(digest)) continue;
    if (
      !(await hasAll(
        records,
        found.manifest.blobs.map((blob) => keys.blob(blob.digest)),
      ))
    ) {
      say(
        report.lost,
        `manifest ${digest} (${describe(found)}): neither its repository is known, nor all its content here`,
      );
      continue;
    }
    await records.write(recordsOf(LOST_AND_FOUND, digest, found));
    say(
      report.broughtBack,
      `manifest ${digest} (${describe(found)}), whose repository is not known: as ${LOST_AND_FOUND}@${digest}`,
    );
  }
}

async function restore(deps: Sources, repository: string, digest: string): Promise<boolean> {
  const { records, report } = deps;
  if (await records.has(keys.manifest(repository, digest))) return false;
  const found = await manifestIn(deps, digest);
  if (!found) return false;
  await records.write(recordsOf(repository, digest, found));
  say(report.broughtBack, `manifest ${repository}@${digest} (${describe(found)})`);
  return true;
}

function recordsOf(repository: string, digest: string, { manifest, size }: Found): Change[] {
  const { mediaType, subject } = manifest;
  return put.manifest(repository, digest, { mediaType, size, ...(subject && { subject: subject.digest }) });
}

/** Which records, and which hints, say that a repository had a manifest. */
async function witnessesOf(records: Records, hints: Hints): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>();
  const add = (digest: string, repository: string) => {
    found.set(digest, (found.get(digest) ?? new Set()).add(repository));
  };
  for (const kind of [prefix(kinds.tag), prefix(kinds.base)]) {
    for await (const [key, digest] of records.entries<string>(kind)) add(digest, key.split('!')[0] as string);
  }
  for await (const [key] of records.entries(prefix(kinds.unsent))) {
    const [repository, digest] = key.split('!') as [string, string];
    add(digest, repository);
  }
  for await (const [key] of records.entries(prefix(kinds.referrer))) {
    const [repository, , digest] = key.split('!') as [string, string, string];
    add(digest, repository);
  }
  for (const { digest, repository } of hints.manifests) add(digest, repository);
  return found;
}

/** Repositories that have all that the manifest refers to. */
async function homesOf(records: Records, repositories: string[], manifest: Manifest): Promise<string[]> {
  const { blobs, manifests, subject } = manifest;
  const telling = blobs.filter(({ size }) => size > TELLS_NOTHING_BYTES);
  if (telling.length === 0 && manifests.length === 0) return [];
  const homes: string[] = [];
  for (const repository of repositories) {
    const needed = [
      ...telling.map(({ digest }) => keys.link(repository, digest)),
      ...[...manifests, ...(subject ? [subject] : [])].map(({ digest }) => keys.manifest(repository, digest)),
    ];
    if (await hasAll(records, needed)) homes.push(repository);
  }
  return homes;
}

async function hasAll(records: Records, keys: string[]): Promise<boolean> {
  for (const key of keys) if (!(await records.has(key))) return false;
  return true;
}

/** What an index names is in its repository, or is known to be left out. */
async function restoreChildren(deps: Sources): Promise<void> {
  const { records, report } = deps;
  const queue: [repository: string, index: string][] = [];
  for await (const [key, { mediaType }] of records.entries<{ mediaType: string }>(prefix(kinds.manifest))) {
    if (isIndex(mediaType)) queue.push(key.split('!') as [string, string]);
  }
  for (const [repository, index] of queue) {
    const { manifest } = (await manifestIn(deps, index)) ?? {};
    for (const child of manifest?.manifests ?? []) {
      const { digest, mediaType } = child;
      if (!isManifestType(mediaType) || (await records.has(keys.manifest(repository, digest)))) continue;
      if (await records.has(keys.leftOut(repository, digest, index))) continue;
      if (await restore(deps, repository, digest)) {
        if (isIndex(mediaType)) queue.push([repository, digest]);
        continue;
      }
      await records.write(put.leftOut(repository, digest, index, platformOf(child)));
      say(
        report.lost,
        `manifest ${repository}@${digest}, of the index ${index}: "terrace sync --full" asks the parent for it`,
      );
    }
  }
}

const platformOf = ({ platform: { os, architecture, variant } = {} }: Descriptor): string =>
  [os, architecture, variant].filter(Boolean).join('/') || 'unknown';

async function knownOf(records: Records): Promise<Set<string>> {
  const known = new Set<string>();
  for await (const [key] of records.entries(prefix(kinds.manifest))) known.add(key.split('!')[1] as string);
  return known;
}

async function keysOf(records: Records, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of records.entries(prefix)) keys.push(key);
  return keys;
}

/** What helps a person to tell what it is. */
function describe({ manifest }: Found): string {
  const { annotations = {}, manifests, blobs, artifactType } = manifest;
  const name =
    annotations['org.opencontainers.image.ref.name'] ?? annotations['org.opencontainers.image.title'];
  const what = manifests.length > 0 ? `index of ${manifests.length}` : `${blobs.length} blobs`;
  return clip([what, name, artifactType].filter(Boolean).join(', '), 300);
}

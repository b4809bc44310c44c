import { clip } from '#proto/contract/clip.ts';
import { plural } from '#proto/contract/quantity-text.ts';
import { type Descriptor, isManifestType, type Manifest } from '#proto/oci/manifest.ts';
import { type Change, put } from '../metadata/batch-changes.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import { isIndex } from '../repositories/sparse.ts';
import type { Hints } from './hints.ts';
import { type ManifestFile, manifestIn, type Sources } from './manifest-file.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';
import { addLine } from './repair-report.ts';

/** Repository for manifests whose own repository is unknown. Nothing in it is sent to the parent. */
export const LOST_AND_FOUND = 'lost-and-found';

/** Max size of a blob that does not identify a repository, in bytes: every repository may have the config `{}`. */
const MAX_COMMON_BYTES = 2;

/**
 * Restores manifests with lost records to their repositories. Some of them were pushed here and exist nowhere else.
 * The repository of a manifest follows from tags, referrers, unsent changes, events, an index that names it, or its
 * content, if a repository links all of it.
 * @param candidates digests of blobs that may be manifests
 */
export async function restoreManifests(deps: Sources, candidates: Set<string>, hints: Hints): Promise<void> {
  const { records, report } = deps;
  for (const [digest, repositories] of await repositoriesByDigest(records, hints)) {
    for (const repository of repositories) await restore(deps, repository, digest);
  }
  const known = await knownOf(records);
  const repositories = await keysOf(records, prefix(kinds.repository));
  const unassigned: [digest: string, parsed: ManifestFile][] = [];
  for (const digest of candidates) {
    const parsed = known.has(digest) ? undefined : await manifestIn(deps, digest);
    if (!parsed) continue;
    const matches = await repositoriesWith(records, repositories, parsed.manifest);
    for (const repository of matches) await restore(deps, repository, digest);
    if (matches.length === 0) unassigned.push([digest, parsed]);
  }
  await restoreChildren(deps);
  const restored = await knownOf(records);
  for (const [digest, parsed] of unassigned) {
    if (restored.has(digest)) continue;
    if (
      !(await hasAll(
        records,
        parsed.manifest.blobs.map((blob) => keys.blob(blob.digest)),
      ))
    ) {
      addLine(
        report.lost,
        `manifest ${digest} (${describe(parsed)}): its repository is unknown, and some of its content is missing`,
      );
      continue;
    }
    await records.write(recordsOf(LOST_AND_FOUND, digest, parsed));
    addLine(
      report.restored,
      `manifest ${digest} (${describe(parsed)}), whose repository is unknown: restored as ${LOST_AND_FOUND}@${digest}`,
    );
  }
}

async function restore(deps: Sources, repository: string, digest: string): Promise<boolean> {
  const { records, report } = deps;
  if (await records.has(keys.manifest(repository, digest))) return false;
  const parsed = await manifestIn(deps, digest);
  if (!parsed) return false;
  await records.write(recordsOf(repository, digest, parsed));
  addLine(report.restored, `manifest ${repository}@${digest} (${describe(parsed)})`);
  return true;
}

function recordsOf(repository: string, digest: string, { manifest, size }: ManifestFile): Change[] {
  const { mediaType, subject } = manifest;
  return put.manifest(repository, digest, { mediaType, size, ...(subject && { subject: subject.digest }) });
}

/** Repositories of each manifest, by digest, according to records and hints. */
async function repositoriesByDigest(
  records: RebuiltRecords,
  hints: Hints,
): Promise<Map<string, Set<string>>> {
  const repositories = new Map<string, Set<string>>();
  const add = (digest: string, repository: string) => {
    repositories.set(digest, (repositories.get(digest) ?? new Set()).add(repository));
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
  return repositories;
}

/** Repositories that have everything that the manifest refers to. */
async function repositoriesWith(
  records: RebuiltRecords,
  repositories: string[],
  manifest: Manifest,
): Promise<string[]> {
  const { blobs, manifests, subject } = manifest;
  const identifying = blobs.filter(({ size }) => size > MAX_COMMON_BYTES);
  if (identifying.length === 0 && manifests.length === 0) return [];
  const matches: string[] = [];
  for (const repository of repositories) {
    const needed = [
      ...identifying.map(({ digest }) => keys.link(repository, digest)),
      ...[...manifests, ...(subject ? [subject] : [])].map(({ digest }) => keys.manifest(repository, digest)),
    ];
    if (await hasAll(records, needed)) matches.push(repository);
  }
  return matches;
}

async function hasAll(records: RebuiltRecords, keys: string[]): Promise<boolean> {
  for (const key of keys) if (!(await records.has(key))) return false;
  return true;
}

/** Restores the manifests that an index names; records those that can't be restored as left out. */
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
      addLine(
        report.lost,
        `manifest ${repository}@${digest}, of the index ${index}: "terrace sync --full" asks the parent for it`,
      );
    }
  }
}

const platformOf = ({ platform: { os, architecture, variant } = {} }: Descriptor): string =>
  [os, architecture, variant].filter(Boolean).join('/') || 'unknown';

async function knownOf(records: RebuiltRecords): Promise<Set<string>> {
  const known = new Set<string>();
  for await (const [key] of records.entries(prefix(kinds.manifest))) known.add(key.split('!')[1] as string);
  return known;
}

async function keysOf(records: RebuiltRecords, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of records.entries(prefix)) keys.push(key);
  return keys;
}

/** Describes a manifest so that an operator recognizes it. */
function describe({ manifest }: ManifestFile): string {
  const { annotations = {}, manifests, blobs, artifactType } = manifest;
  const name =
    annotations['org.opencontainers.image.ref.name'] ?? annotations['org.opencontainers.image.title'];
  const content = manifests.length > 0 ? `index of ${manifests.length}` : plural(blobs.length, 'blob');
  return clip([content, name, artifactType].filter(Boolean).join(', '), 300);
}

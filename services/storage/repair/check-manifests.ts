import { EVERY_MANIFEST } from '#proto/content/left-out-referrers.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Descriptor, MAX_MANIFEST_BYTES, type Manifest } from '#proto/oci/manifest.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import { drop, put } from '../metadata/batch-changes.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import type { BlobRecord, ManifestRecord } from '../metadata/records.ts';
import { manifestBytes, type Sources } from './manifest-file.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';
import { addLine } from './repair-report.ts';

/**
 * Makes every manifest record match its manifest and links the blobs that the manifest refers to. Missing content is
 * recorded as damaged, so that the parent is asked for it. Then deletes records that name something missing.
 */
export async function checkManifests(deps: Sources): Promise<void> {
  const { records } = deps;
  for await (const [key, record] of records.entries<ManifestRecord>(prefix(kinds.manifest))) {
    await checkManifest(deps, key.split('!') as [string, string], record);
  }
  for (const kind of [kinds.link, kinds.manifest, kinds.tag]) await addRepositories(records, prefix(kind));
  await dropOrphans(records, prefix(kinds.link), ([, digest]) => [keys.blob(digest), keys.damaged(digest)]);
  await dropOrphans(records, prefix(kinds.referrer), ([repository, , digest]) => [
    keys.manifest(repository, digest),
  ]);
  await dropOrphans(records, prefix(kinds.unsent), ([repository, digest]) => [
    keys.manifest(repository, digest),
  ]);
  await dropOrphans(records, prefix(kinds.leftOut), ([repository, , index]) => [
    keys.manifest(repository, index),
  ]);
  await dropOrphans(records, prefix(kinds.leftOutReferrers), ([repository, subject]) => [
    subject === EVERY_MANIFEST ? keys.repository(repository) : keys.manifest(repository, subject),
  ]);
  await dropOrphans(records, prefix(kinds.transferred), ([digest]) => [keys.blob(digest)]);
}

async function checkManifest(
  sources: Sources,
  [repository, digest]: [string, string],
  record: ManifestRecord,
): Promise<void> {
  const { records, report } = sources;
  const size = (await records.get<BlobRecord>(keys.blob(digest)))?.size ?? 0;
  const bytes = await manifestBytes(sources, digest);
  if (!bytes && size <= MAX_MANIFEST_BYTES) {
    await markDamaged(records, digest, record.size);
    return addLine(
      report.lost,
      `manifest ${repository}@${digest}: until the parent or a client supplies it again`,
    );
  }
  const manifest = bytes && read(bytes, record.mediaType);
  if (!manifest) {
    await records.write(drop.manifest(repository, digest));
    return addLine(report.lost, `manifest ${repository}@${digest}: its content is not a manifest`);
  }
  const { blobs, subject, mediaType, artifactType, annotations } = manifest;
  const referrer = {
    mediaType,
    size,
    ...(artifactType && { artifactType }),
    ...(annotations && { annotations }),
  };
  const needed: Descriptor[] = [];
  for (const blob of blobs) {
    if (!(await records.has(keys.leftOut(repository, blob.digest, digest)))) needed.push(blob);
  }
  await records.write([
    ...put.manifest(repository, digest, { mediaType, size, ...(subject && { subject: subject.digest }) }),
    ...(subject ? put.referrer(repository, subject.digest, digest, referrer) : []),
    ...needed.flatMap((blob) => put.link(repository, blob.digest)),
  ]);
  for (const blob of needed) {
    if (await records.has(keys.blob(blob.digest))) continue;
    if (await markDamaged(records, blob.digest, blob.size)) {
      addLine(
        report.lost,
        `content ${blob.digest} of ${repository}@${digest}: until the parent or a client supplies it again`,
      );
    }
  }
}

function read(bytes: Uint8Array, mediaType: string): Manifest | undefined {
  try {
    return readManifest(bytes, mediaType);
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** Records content as damaged. @returns false if it was recorded before */
async function markDamaged(records: RebuiltRecords, digest: string, size: number): Promise<boolean> {
  if (await records.has(keys.damaged(digest))) return false;
  await records.write(put.damaged(digest, { size, since: Date.now() }));
  return true;
}

async function addRepositories(records: RebuiltRecords, kind: string): Promise<void> {
  let last = '';
  for await (const [key] of records.entries(kind)) {
    const repository = key.split('!')[0] as string;
    if (repository !== last && !(await records.has(keys.repository(repository)))) {
      await records.write([{ type: 'put', key: keys.repository(repository), value: {} }]);
    }
    last = repository;
  }
}

/** Parts of a key after its kind; as many as the kind has. */
type Parts = [string, string, string];

/** Deletes the records of a kind for which none of the records in `needs` exists. */
async function dropOrphans(
  records: RebuiltRecords,
  kind: string,
  needs: (parts: Parts) => string[],
): Promise<void> {
  for await (const [suffix] of records.entries(kind)) {
    const present = await Promise.all(needs(suffix.split('!') as Parts).map((key) => records.has(key)));
    if (!present.includes(true)) await records.write([{ type: 'del', key: kind + suffix }]);
  }
}

import { MAX_ANNOTATION_KEY_LENGTH, MAX_ANNOTATIONS } from '#proto/content/manifests.ts';
import { clip } from '#proto/contract/clip.ts';
import { packedSize } from '#proto/contract/packed-size.ts';
import { isForbiddenKey } from '#proto/contract/plain-data.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import { MAX_MEDIA_TYPE } from '#proto/oci/names.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import type { ListQuery } from '../metadata/page.ts';

/** Max size of a page, in bytes: a reply must fit into one bus message (1 MiB). */
const MAX_PAGE_BYTES = 512 * 1024;

type ReferrersQuery = {
  repository: string;
  subject: string;
  /** Only referrers of this type. */
  artifactType: string | undefined;
};

/** A page of the manifests that refer to a subject: at most `limit` descriptors, fewer if they are large. */
export async function referrersPage(
  metadata: MetadataReader,
  { repository, subject, artifactType }: ReferrersQuery,
  { after, limit }: ListQuery,
): Promise<{ descriptors: Descriptor[]; more: boolean }> {
  const descriptors: Descriptor[] = [];
  let room = MAX_PAGE_BYTES;
  for await (const [digest, record] of metadata.referrersOfSubject(repository, subject, after)) {
    if (artifactType !== undefined && record.artifactType !== artifactType) continue;
    const descriptor = trimmed({ ...record, digest });
    room -= packedSize(descriptor);
    if (descriptors.length === limit || room < 0) return { descriptors, more: true };
    descriptors.push(descriptor);
  }
  return { descriptors, more: false };
}

/**
 * A descriptor as it can be sent: without the annotations that would not arrive unchanged, and without any if it would
 * be too large. The manifest itself has all of them.
 */
function trimmed({ annotations, artifactType, ...rest }: Descriptor): Descriptor {
  const sendable = Object.entries(annotations ?? {}).filter(
    ([key, value]) =>
      key.length > 0 &&
      key.length <= MAX_ANNOTATION_KEY_LENGTH &&
      !isForbiddenKey(key) &&
      key.isWellFormed() &&
      value.isWellFormed(),
  );
  const plain = {
    ...rest,
    ...(artifactType !== undefined && { artifactType: clip(artifactType, MAX_MEDIA_TYPE) }),
  };
  if (!annotations || sendable.length > MAX_ANNOTATIONS) return plain;
  const descriptor = { ...plain, annotations: Object.fromEntries(sendable) };
  return packedSize(descriptor) <= MAX_PAGE_BYTES ? descriptor : plain;
}

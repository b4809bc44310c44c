import { createHash } from 'node:crypto';
import { mediaTypes } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';

/** The empty blob of the image-spec ("Guidance for an Empty Descriptor"), which the placeholder refers to. */
export const EMPTY = Buffer.from('{}');
export const EMPTY_DIGEST: Digest = `sha256:${createHash('sha256').update(EMPTY).digest('hex')}`;

/**
 * Placeholder manifest, to delete a tag at a parent that deletes by digest only: the tag is moved to the placeholder
 * and deleted with it. Its digest depends only on repository and tag, so that any pass recognizes a leftover one.
 */
export function placeholder(
  repository: Repository,
  tag: Tag,
): { digest: Digest; mediaType: string; bytes: Buffer } {
  const empty = {
    mediaType: 'application/vnd.oci.empty.v1+json',
    digest: EMPTY_DIGEST,
    size: EMPTY.length,
  };
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType: 'application/vnd.terrace.withdrawn.v1',
      config: empty,
      layers: [empty],
      annotations: { 'vnd.terrace.repository': repository, 'vnd.terrace.tag': tag },
    }),
  );
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { digest, mediaType: mediaTypes.ociManifest, bytes };
}

import type { FastifyReply } from 'fastify';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { blobUrl, uploadUrl } from './locations.ts';
import { uploadRange } from './ranges.ts';

/** Headers of an upload that ends at `offset`. */
export function describeUpload(
  reply: FastifyReply,
  repository: Repository,
  id: string,
  offset: number,
): void {
  reply.headers({
    location: uploadUrl(repository, id),
    range: uploadRange(offset),
    'docker-upload-uuid': id,
  });
}

/** Answers with the upload; the caller sets the status. */
export function accepted(
  reply: FastifyReply,
  repository: Repository,
  id: string,
  offset: number,
): FastifyReply {
  describeUpload(reply, repository, id, offset);
  return reply.send();
}

/** Answers that the blob is committed. */
export function created(reply: FastifyReply, repository: Repository, digest: Digest): FastifyReply {
  reply.headers({ location: blobUrl(repository, digest), 'docker-content-digest': digest });
  return reply.code(201).send();
}

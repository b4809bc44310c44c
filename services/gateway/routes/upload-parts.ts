import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { abortUpload, type Claim, commitBlob, uploadStatus } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Digest, parseDigestName, type Repository, splitDigest } from '#proto/oci/names.ts';
import { onBehalfOf } from '../auth/request-caller.ts';
import type { ClaimRenewal } from '../content/claim-renewal.ts';
import { UploadClaim } from '../content/upload-claim.ts';
import { type WrittenBody, writeBody } from '../content/write-body.ts';
import { parameter, repositoryOf, segment } from '../http/parameters.ts';
import { parseContentRange } from '../http/ranges.ts';
import { accepted, created, describeUpload } from '../http/upload-replies.ts';
import { completeDespiteDisconnect, type Gateway, type RouteHandler, registerResource } from './resource.ts';

/**
 * The requests of one upload. Acknowledged bytes stay: an upload whose connection breaks ends at the last byte
 * received, and continues from there in any process. A PUT with a wrong digest ends its upload, as in docker-registry.
 */
export function registerUploadPartRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, times, hashes, idleClaims, access } = gateway;
  const patience = { patience: times.patienceMs };

  // distribution-spec 1.1, "Pushing a blob in chunks"
  const append: RouteHandler = async (request, reply) => {
    const repository = repositoryOf(request);
    const id = segment(request, 'id');
    const end = await completeDespiteDisconnect(gateway, appendChunk(request, reply, repository, id));
    return accepted(reply.code(202), repository, id, end);
  };

  const appendChunk = async (
    request: FastifyRequest,
    reply: FastifyReply,
    repository: Repository,
    id: string,
  ): Promise<number> => {
    await using held = await UploadClaim.take(gateway, repository, id);
    const exactly = expectChunk(request, reply, repository, held.claim);
    const { end } = await writeBody(gateway, held, request.raw, { exactly });
    // Before the answer: the next chunk may arrive at once.
    await held.releaseAt(end);
    await access.recheck(request, reply);
    return end;
  };

  // distribution-spec 1.1, "Pushing a blob"
  const finish: RouteHandler = async (request, reply) => {
    const repository = repositoryOf(request);
    const digest = parseDigestName(parameter(request, 'digest') ?? '');
    await completeDespiteDisconnect(
      gateway,
      finishUpload(request, reply, repository, segment(request, 'id'), digest),
    );
    return created(reply, repository, digest);
  };

  const finishUpload = async (
    request: FastifyRequest,
    reply: FastifyReply,
    repository: Repository,
    id: string,
    digest: Digest,
  ): Promise<void> => {
    await using held = await UploadClaim.take(gateway, repository, id);
    const exactly = expectChunk(request, reply, repository, held.claim);
    const [algorithm] = splitDigest(digest);
    const body = await writeBody(gateway, held, request.raw, { exactly, algorithm });
    // A body may take hours, and its account may have lost its rights meanwhile: the received bytes stay an upload.
    await access.recheck(request, reply);
    await commitUpload(gateway, request, held, repository, digest, body);
  };

  // distribution-spec 1.1, "Pushing a blob in chunks"
  const status: RouteHandler = async (request, reply) => {
    const repository = repositoryOf(request);
    const id = segment(request, 'id');
    const { offset } = await bus.call(uploadStatus, { repository, id }, patience);
    return accepted(reply.code(204), repository, id, offset);
  };

  // distribution-spec 1.1, "Canceling a blob upload"
  const cancel: RouteHandler = async (request, reply) => {
    const id = segment(request, 'id');
    await bus.call(abortUpload, { repository: repositoryOf(request), id }, patience);
    hashes.forget(id);
    idleClaims.forget(id);
    return reply.code(204).send();
  };

  registerResource(app, gateway, '/v2/:name/blobs/uploads/:id', {
    GET: { needs: 'content/write', handler: status, spec: 'end-13', answer: '204: the offset of the upload' },
    HEAD: { needs: 'content/write', handler: status, spec: 'end-13', answer: '204 as for GET' },
    PATCH: {
      needs: 'content/write',
      handler: append,
      spec: 'end-5',
      answer: '202: the chunk is appended; 416: it does not begin at the end of the upload',
    },
    PUT: {
      needs: 'content/write',
      handler: finish,
      spec: 'end-6',
      answer:
        '201: the blob is committed; 400: its digest or size differs, and the upload ends if it is the digest',
    },
    DELETE: { needs: 'content/write', handler: cancel, spec: 'end-14', answer: '204: the upload is deleted' },
  });
}

/** @throws Fault `digest-invalid`, which ends the upload; after any other fault the claim is still held */
export async function commitUpload(
  gateway: Gateway,
  request: FastifyRequest,
  held: ClaimRenewal,
  repository: Repository,
  digest: Digest,
  { end: size, hash: hashed }: WrittenBody,
): Promise<void> {
  const { bus, hashes } = gateway;
  const { id, claim } = held.claim;
  try {
    await bus.call(
      commitBlob,
      { id, claim, digest, size, repository, ...(hashed && { hashed }) },
      onBehalfOf(request, gateway),
    );
    held.committed();
    hashes.forget(id);
  } catch (error) {
    if (Fault.is(error, 'digest-invalid')) {
      hashes.forget(id);
      await held.discard();
    }
    throw error;
  }
}

/**
 * The chunk that `Content-Range` announces must begin at the end of the upload; without that header, the body is
 * appended.
 * @returns the number of bytes that must follow @throws Fault `range-invalid`, with the true range in the headers
 */
function expectChunk(
  request: FastifyRequest,
  reply: FastifyReply,
  repository: Repository,
  { id, offset }: Claim,
): number | undefined {
  const header = request.headers['content-range'];
  if (header === undefined) return undefined;
  const { first, last } = parseContentRange(header);
  if (first !== offset) {
    describeUpload(reply, repository, id, offset);
    throw new Fault('range-invalid', `the upload ends at ${offset}, this chunk begins at ${first}`);
  }
  const size = request.headers['content-length'];
  if (size !== undefined && Number(size) !== last - first + 1) {
    throw new Fault('size-invalid', `Content-Range ${first}-${last} does not match Content-Length ${size}`);
  }
  return last - first + 1;
}

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { linkBlobs } from '#proto/content/blobs.ts';
import {
  abortUpload,
  type Claim,
  claimUpload,
  commitBlob,
  startUpload,
  uploadStatus,
} from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import {
  type Digest,
  isRepository,
  parseDigestName,
  type Repository,
  splitDigest,
} from '#proto/oci/names.ts';
import { mayAlso, onBehalfOf } from '../auth/request-caller.ts';
import { ClaimRenewal } from '../content/claim-renewal.ts';
import { type Algorithm, RunningHashes } from '../content/running-hashes.ts';
import { type WrittenBody, writeBody } from '../content/write-body.ts';
import { blobUrl, uploadUrl } from '../http/locations.ts';
import { parameter, repositoryOf, segment } from '../http/parameters.ts';
import { parseContentRange, uploadRange } from '../http/ranges.ts';
import { completeDespiteDisconnect, type Gateway, type RouteHandler, registerResource } from './resource.ts';

/**
 * Uploads. Acknowledged bytes stay: an upload whose connection breaks ends at the last byte received, and continues
 * from there in any process. A PUT with a wrong digest ends its upload, as in docker-registry.
 */
export function registerUploadRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, instance, times, hashes, log, access } = gateway;
  const patience = { patience: times.patienceMs };
  const hold = (claim: Claim) => new ClaimRenewal(bus, claim, times.renewMs, log);

  // distribution-spec 1.1, "Pushing blobs" and "Mounting a blob from another repository"
  const start: RouteHandler = async (request, reply) => {
    const repository = repositoryOf(request);
    const mount = parameter(request, 'mount');
    if (mount !== undefined && (await mountBlob(request, repository, parseDigestName(mount)))) {
      return created(reply, repository, mount);
    }
    const digest = parameter(request, 'digest');
    const behalf = onBehalfOf(request, gateway);
    if (mount === undefined && digest !== undefined) {
      parseDigestName(digest);
      const claim = await bus.call(startUpload, { repository, by: instance, hold: true }, behalf);
      await completeDespiteDisconnect(gateway, putMonolithic(request, reply, repository, digest, claim));
      return created(reply, repository, digest);
    }
    const algorithm = algorithmOf(parameter(request, 'digest-algorithm'));
    const { id } = await bus.call(startUpload, { repository, by: instance, hold: false }, behalf);
    if (algorithm) hashes.put(id, 0, RunningHashes.begin(algorithm));
    return accepted(reply.code(202), repository, id, 0);
  };

  /**
   * Content that the client may not read does not exist for it: without `from`, any repository would do, so a blob is
   * mounted only if the client may read all of them.
   */
  const mountBlob = async (
    request: FastifyRequest,
    repository: Repository,
    digest: Digest,
  ): Promise<boolean> => {
    const from = parameter(request, 'from');
    if (from !== undefined && !isRepository(from)) return false;
    if (!mayAlso(request, from ?? '*', 'content/read')) return false;
    try {
      const query = { repository, digests: [digest], ...(from && { from }) };
      await bus.call(linkBlobs, query, onBehalfOf(request, gateway));
      return true;
    } catch (error) {
      if (Fault.is(error, 'blob-unknown', 'name-unknown')) return false;
      throw error;
    }
  };

  /** Only this request knows the upload: any failure discards it. */
  const putMonolithic = async (
    request: FastifyRequest,
    reply: FastifyReply,
    repository: Repository,
    digest: Digest,
    claim: Claim,
  ): Promise<void> => {
    await using held = hold(claim);
    try {
      const body = await writeBody(gateway, held, request.raw, { algorithm: splitDigest(digest)[0] });
      await access.recheck(request, reply);
      await commit(request, held, repository, digest, body);
    } catch (error) {
      hashes.forget(claim.id);
      await held.discard();
      throw error;
    }
  };

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
    await using held = hold(await bus.call(claimUpload, { repository, id, by: instance }, patience));
    const exactly = expectChunk(request, reply, repository, held.claim);
    const { end } = await writeBody(gateway, held, request.raw, { exactly });
    // Before the answer: the next chunk may arrive at once.
    await held.release();
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
    await using held = hold(await bus.call(claimUpload, { repository, id, by: instance }, patience));
    const exactly = expectChunk(request, reply, repository, held.claim);
    const [algorithm] = splitDigest(digest);
    const body = await writeBody(gateway, held, request.raw, { exactly, algorithm });
    // A body may take hours, and its account may have lost its rights meanwhile: the received bytes stay an upload.
    await access.recheck(request, reply);
    await commit(request, held, repository, digest, body);
  };

  const commit = async (
    request: FastifyRequest,
    held: ClaimRenewal,
    repository: Repository,
    digest: Digest,
    { end: size, hash: hashed }: WrittenBody,
  ): Promise<void> => {
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
    return reply.code(204).send();
  };

  registerResource(app, gateway, '/v2/:name/blobs/uploads/', {
    POST: {
      needs: 'content/write',
      handler: start,
      spec: 'end-4a to end-4c, end-11',
      answer:
        '202: an upload; with `digest`: 201, the blob in the body is committed; with `mount` (and `from`): 201 if the blob is mounted, else 202',
    },
  });
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

/**
 * Algorithm of the digest that a chunked upload will have, if the client names it before its first byte.
 * @throws Fault `digest-invalid`
 */
function algorithmOf(name: string | undefined): Algorithm | undefined {
  if (name === undefined || name === 'sha256' || name === 'sha512') return name;
  throw new Fault('digest-invalid', 'digest-algorithm is not supported: write sha256 or sha512');
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
    describe(reply, repository, id, offset);
    throw new Fault('range-invalid', `the upload ends at ${offset}, this chunk begins at ${first}`);
  }
  const size = request.headers['content-length'];
  if (size !== undefined && Number(size) !== last - first + 1) {
    throw new Fault('size-invalid', `Content-Range ${first}-${last} does not match Content-Length ${size}`);
  }
  return last - first + 1;
}

function describe(reply: FastifyReply, repository: Repository, id: string, offset: number): void {
  reply.headers({
    location: uploadUrl(repository, id),
    range: uploadRange(offset),
    'docker-upload-uuid': id,
  });
}

function accepted(reply: FastifyReply, repository: Repository, id: string, offset: number): FastifyReply {
  describe(reply, repository, id, offset);
  return reply.send();
}

function created(reply: FastifyReply, repository: Repository, digest: Digest): FastifyReply {
  reply.headers({ location: blobUrl(repository, digest), 'docker-content-digest': digest });
  return reply.code(201).send();
}

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { linkBlobs } from '#proto/content/blobs.ts';
import { type Claim, startUpload } from '#proto/content/ingests.ts';
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
import { writeBody } from '../content/write-body.ts';
import { parameter, repositoryOf } from '../http/parameters.ts';
import { accepted, created } from '../http/upload-replies.ts';
import { completeDespiteDisconnect, type Gateway, type RouteHandler, registerResource } from './resource.ts';
import { commitUpload } from './upload-parts.ts';

/** Begins uploads, mounts blobs, and takes a blob that comes in one request. */
export function registerUploadRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, instance, times, hashes, idleClaims, log, access } = gateway;

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
    const renewedAt = performance.now();
    const claim = await bus.call(startUpload, { repository, by: instance, hold: false }, behalf);
    idleClaims.put(repository, { claim, renewedAt });
    if (algorithm) hashes.put(claim.id, 0, RunningHashes.begin(algorithm));
    return accepted(reply.code(202), repository, claim.id, 0);
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
    await using held = new ClaimRenewal(bus, claim, times.renewMs, log);
    try {
      const body = await writeBody(gateway, held, request.raw, { algorithm: splitDigest(digest)[0] });
      await access.recheck(request, reply);
      await commitUpload(gateway, request, held, repository, digest, body);
    } catch (error) {
      hashes.forget(claim.id);
      await held.discard();
      throw error;
    }
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
}

/**
 * Algorithm of the digest that a chunked upload will have, if the client names it before its first byte.
 * @throws Fault `digest-invalid`
 */
function algorithmOf(name: string | undefined): Algorithm | undefined {
  if (name === undefined || name === 'sha256' || name === 'sha512') return name;
  throw new Fault('digest-invalid', 'digest-algorithm is not supported: write sha256 or sha512');
}

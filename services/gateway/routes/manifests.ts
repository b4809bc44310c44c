import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '#proto/fault.ts';
import { startUpload } from '#proto/ingests.ts';
import { deleteManifest, deleteTag, getManifest, type ManifestPlace, putManifest } from '#proto/manifests.ts';
import {
  type Digest,
  isDigest,
  type Reference,
  type Repository,
  referenceName,
  splitDigest,
} from '#proto/names.ts';
import { MANIFEST_LIMIT } from '#proto/oci.ts';
import { openCommitted } from '../committed.ts';
import { Hold } from '../hold.ts';
import { manifestUrl } from '../locations.ts';
import { etagOf, isFresh } from '../preconditions.ts';
import { type Gateway, type Handler, repositoryOf, resource, segment, settle } from '../routing.ts';
import { writeBody } from '../write-body.ts';

export function manifestRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, volume, instance, hashes, times, log } = gateway;
  const patience = { patience: times.patienceMs };

  const locate = (request: FastifyRequest): Promise<ManifestPlace> =>
    bus.call(
      getManifest,
      { repository: repositoryOf(request), reference: existingReference(request) },
      patience,
    );

  // distribution-spec 1.1, "Checking if content exists in the registry": end-3
  const head: Handler = async (request, reply) => {
    const place = await locate(request);
    describe(reply, place);
    if (isFresh(request.headers, place.digest)) return reply.code(304).send();
    return reply.header('content-length', place.size).send();
  };

  // distribution-spec 1.1, "Pulling manifests": end-3
  const get: Handler = async (request, reply) => {
    const { place, file: opened } = await openCommitted(volume, () => locate(request));
    await using file = opened;
    describe(reply, place);
    if (isFresh(request.headers, place.digest)) return reply.code(304).send();
    const bytes = Buffer.allocUnsafe(place.size);
    if ((await file.read(bytes, 0)) < place.size) throw new Error(`${place.digest} is shorter than it was`);
    return reply.send(bytes);
  };

  // distribution-spec 1.1, "Pushing manifests" and "Pushing manifests with subject": end-7
  const put: Handler = async (request, reply) => {
    const repository = repositoryOf(request);
    const reference = referenceName(segment(request, 'reference'));
    if (Number(request.headers['content-length']) > MANIFEST_LIMIT) {
      throw new Fault('too-large', `a manifest may have ${MANIFEST_LIMIT} bytes`);
    }
    const { digest, subject } = await settle(gateway, stored(request, repository, reference));
    reply.headers({
      location: manifestUrl(request, repository, digest),
      'docker-content-digest': digest,
      ...(subject && { 'oci-subject': subject }),
    });
    return reply.code(201).send();
  };

  /** A manifest's bytes come to storage as those of a blob do; it is told what they are when they are all there. */
  const stored = async (request: FastifyRequest, repository: Repository, reference: Reference) => {
    const claim = await bus.call(startUpload, { repository, by: instance, hold: true }, patience);
    await using held = new Hold(bus, claim, times.renewMs, log);
    try {
      const algorithm = isDigest(reference) ? splitDigest(reference)[0] : 'sha256';
      const size = await writeBody(gateway, held, request.raw, { algorithm, most: MANIFEST_LIMIT });
      const digest = hashes.digest(claim.id, size, algorithm) as Digest;
      if (isDigest(reference) && reference !== digest) {
        throw new Fault('digest-invalid', `the manifest is ${digest}, not ${reference}`);
      }
      const mediaType = mediaTypeOf(request) ?? (await mediaTypeWithin(held, size));
      const tag = isDigest(reference) ? {} : { tag: reference };
      const query = { repository, digest, mediaType, id: claim.id, claim: claim.claim, ...tag };
      const answer = await bus.call(putManifest, query, patience);
      held.spent();
      return answer;
    } catch (error) {
      await held.discard();
      throw error;
    } finally {
      hashes.forget(claim.id);
    }
  };

  /** For a client that does not say what it sends: the manifest may say it. */
  const mediaTypeWithin = async ({ claim }: Hold, size: number): Promise<string> => {
    await using file = await volume.openIngest(claim);
    const bytes = Buffer.alloc(size);
    await file.read(bytes, 0);
    try {
      return String((JSON.parse(bytes.toString()) as { mediaType?: unknown }).mediaType ?? '');
    } catch {
      return '';
    }
  };

  // distribution-spec 1.1, "Deleting tags" and "Deleting Manifests": end-9
  const remove: Handler = async (request, reply) => {
    const repository = repositoryOf(request);
    const reference = existingReference(request);
    if (isDigest(reference)) await bus.call(deleteManifest, { repository, digest: reference }, patience);
    else await bus.call(deleteTag, { repository, tag: reference }, patience);
    return reply.code(202).send();
  };

  resource(app, gateway, '/v2/:name/manifests/:reference', {
    GET: ['content/read', get],
    HEAD: ['content/read', head],
    PUT: ['content/write', put],
    DELETE: ['content/delete', remove],
  });
}

/** What can't be a tag is a tag that does not exist. */
function existingReference(request: FastifyRequest): Reference {
  try {
    return referenceName(segment(request, 'reference'));
  } catch (cause) {
    if (!Fault.is(cause, 'manifest-invalid')) throw cause;
    throw new Fault('manifest-unknown', `there is no such manifest: ${cause.message}`, { cause });
  }
}

/** Without its parameters, and in lower case (RFC 9110, 8.3.1). */
function mediaTypeOf(request: FastifyRequest): string | undefined {
  return request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
}

function describe(reply: FastifyReply, { digest, mediaType }: ManifestPlace): void {
  reply.headers({ 'docker-content-digest': digest, etag: etagOf(digest), 'content-type': mediaType });
}

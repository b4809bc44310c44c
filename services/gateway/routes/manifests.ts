import type { Static } from '@sinclair/typebox';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { startUpload } from '#proto/content/ingests.ts';
import {
  deleteManifest,
  deleteTag,
  getManifest,
  MAX_INLINE_MANIFEST_BYTES,
  MAX_TAGS,
  type ManifestPlace,
  putManifest,
} from '#proto/content/manifests.ts';
import { parseJson } from '#proto/contract/bounded-json.ts';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_MANIFEST_BYTES } from '#proto/oci/manifest.ts';
import {
  type Digest,
  isDigest,
  parseReferenceName,
  parseTagName,
  type Reference,
  type Repository,
  splitDigest,
  type Tag,
} from '#proto/oci/names.ts';
import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import { onBehalfOf } from '../auth/request-caller.ts';
import { ClaimRenewal } from '../content/claim-renewal.ts';
import { type ManifestContent, readManifestBytes } from '../content/open-content.ts';
import { isSmall, receiveSmall } from '../content/receive-small.ts';
import { writeBody } from '../content/write-body.ts';
import { manifestUrl } from '../http/locations.ts';
import { parameters, repositoryOf, segment } from '../http/parameters.ts';
import { allows, etagOf, isConditional, isFresh } from '../http/preconditions.ts';
import { completeDespiteDisconnect, type Gateway, type RouteHandler, registerResource } from './resource.ts';

export function registerManifestRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, volume, instance, hashes, cache, times, log, access } = gateway;
  const patience = { patience: times.patienceMs };

  /** Logs for the operator why an image of an index cannot be pulled. */
  const logLeftOutPlatform =
    (repository: Repository, digest: Reference) =>
    (error: unknown): never => {
      const platform = Fault.is(error, 'manifest-unknown') ? error.detail?.leftOut : undefined;
      if (platform !== undefined) {
        const { unavailable } = (error as Fault).detail ?? {};
        const why = unavailable ? 'is not provided by the parent' : 'is not selected for this layer';
        log.info({ repository, digest, platform }, `requested platform ${why}`);
      }
      throw error;
    };

  // distribution-spec 1.1, "Checking if content exists in the registry"
  const head: RouteHandler = (request, reply) => {
    const [repository, reference] = [repositoryOf(request), existingReference(request)];
    const answer = (place: ManifestPlace): undefined => {
      describe(reply, place);
      if (isFresh(request.headers, place.digest)) reply.code(304).send();
      else reply.header('content-length', place.size).send();
    };
    const place = cache.manifest(repository, reference);
    if (!(place instanceof Promise)) return answer(place);
    return place.catch(logLeftOutPlatform(repository, reference)).then(answer);
  };

  // distribution-spec 1.1, "Pulling manifests"
  const get: RouteHandler = (request, reply) => {
    const [repository, reference] = [repositoryOf(request), existingReference(request)];
    const answer = ({ place, bytes }: ManifestContent): undefined => {
      describe(reply, place);
      if (isFresh(request.headers, place.digest)) reply.code(304).send();
      // Without a serializer, Fastify adds a charset to the type of text.
      else reply.serializer(unchanged).send(bytes);
    };
    const content = readManifestBytes(volume, cache, repository, reference);
    if (!(content instanceof Promise)) return answer(content);
    return content.catch(logLeftOutPlatform(repository, reference)).then(answer);
  };

  // distribution-spec 1.1, "Pushing manifests" and "Pushing manifests with subject"
  const put: RouteHandler = async (request, reply) => {
    const repository = repositoryOf(request);
    const reference = parseReferenceName(segment(request, 'reference'));
    if (Number(request.headers['content-length']) > MAX_MANIFEST_BYTES) {
      throw new Fault('too-large', `the manifest has more than ${MAX_MANIFEST_BYTES} bytes`);
    }
    const tags = tagsOf(request, reference);
    const expect = await expectation(request, repository, reference);
    const work = storeManifest(
      request,
      reply,
      { repository, ...expect, ...(tags.length > 0 && { tags }) },
      reference,
    );
    const { digest, subject } = await completeDespiteDisconnect(gateway, work);
    reply.headers({
      location: manifestUrl(repository, digest),
      'docker-content-digest': digest,
      ...(subject && { 'oci-subject': subject }),
      ...(tags.length > 0 && { 'oci-tag': tags.join(', ') }),
      ...warningOf(gateway, repository),
    });
    return reply.code(201).send();
  };

  /** A small manifest goes to storage in the request; a larger one is written to an ingest, as a blob is. */
  const storeManifest = async (
    request: FastifyRequest,
    reply: FastifyReply,
    query: Query,
    reference: Reference,
  ) => {
    const put = async (digest: Digest, mediaType: string, content: Content) => {
      if (isDigest(reference) && reference !== digest)
        throw new Fault('digest-invalid', `the manifest is ${digest}, not ${reference}`);
      const tag = isDigest(reference) ? {} : { tag: reference };
      await access.recheck(request, reply);
      const behalf = onBehalfOf(request, gateway);
      return await bus.call(putManifest, { ...query, digest, mediaType, ...content, ...tag }, behalf);
    };
    const algorithm = isDigest(reference) ? splitDigest(reference)[0] : 'sha256';
    if (!isSmall(request.raw, MAX_INLINE_MANIFEST_BYTES)) {
      return await storeLarge(request, query.repository, algorithm, put);
    }
    const limits = { algorithm, limit: MAX_INLINE_MANIFEST_BYTES };
    const { bytes, digest } = await receiveSmall(gateway, request.raw, limits);
    return await put(digest, mediaTypeOf(request) ?? mediaTypeWithin(bytes), { bytes });
  };

  const storeLarge = async (
    request: FastifyRequest,
    repository: Repository,
    algorithm: 'sha256' | 'sha512',
    put: (digest: Digest, mediaType: string, content: Content) => Promise<Stored>,
  ) => {
    const behalf = onBehalfOf(request, gateway);
    const claim = await bus.call(startUpload, { repository, by: instance, hold: true }, behalf);
    await using held = new ClaimRenewal(bus, claim, times.renewMs, log);
    try {
      const expected = { algorithm, max: MAX_MANIFEST_BYTES };
      const { end: size, hash: digest } = await writeBody(gateway, held, request.raw, expected);
      if (!digest) throw new Error('the ingest was not empty');
      const mediaType = mediaTypeOf(request) ?? mediaTypeWithin(await readBack(held, size));
      const stored = await put(digest, mediaType, { id: claim.id, claim: claim.claim });
      held.committed();
      return stored;
    } catch (error) {
      await held.discard();
      throw error;
    } finally {
      hashes.forget(claim.id);
    }
  };

  const readBack = async ({ claim }: ClaimRenewal, size: number): Promise<Buffer> => {
    await using file = await volume.openIngest(claim);
    const bytes = Buffer.alloc(size);
    await file.read(bytes, 0);
    return bytes;
  };

  /** Digest that a tag must have when it changes (null: no tag), if the client makes the change conditional. */
  const expectation = async (
    { headers }: FastifyRequest,
    repository: Repository,
    reference: Reference,
  ): Promise<{ expect?: Digest | null }> => {
    if (!isConditional(headers)) return {};
    const current = await bus.call(getManifest, { repository, reference }, patience).catch((error) => {
      if (Fault.is(error, 'manifest-unknown', 'name-unknown')) return undefined;
      throw error;
    });
    if (!allows(headers, current?.digest)) {
      throw new Fault(
        'conflict',
        // Without the digest: a caller that may write may not always read.
        `${reference} ${current ? 'is not in the expected state' : 'does not exist'}: read it again, then decide`,
      );
    }
    return isDigest(reference) ? {} : { expect: current?.digest ?? null };
  };

  // distribution-spec 1.1, "Deleting tags" and "Deleting Manifests"
  const remove: RouteHandler = async (request, reply) => {
    const repository = repositoryOf(request);
    const reference = existingReference(request);
    const expect = await expectation(request, repository, reference);
    const behalf = onBehalfOf(request, gateway);
    if (isDigest(reference)) await bus.call(deleteManifest, { repository, digest: reference }, behalf);
    else await bus.call(deleteTag, { repository, tag: reference, ...expect }, behalf);
    return reply.code(202).send();
  };

  registerResource(app, gateway, '/v2/:name/manifests/:reference', {
    GET: {
      needs: 'content/read',
      handler: get,
      spec: 'end-3',
      answer: '200: the manifest; 304: `If-None-Match` names its digest',
    },
    HEAD: {
      needs: 'content/read',
      handler: head,
      spec: 'end-3',
      answer: '200: its digest, type and size; 304 as for GET',
    },
    PUT: {
      needs: 'content/write',
      handler: put,
      spec: 'end-7a, end-7b',
      answer:
        '201: the manifest is committed, and the tags point to it; 412: a condition (`If-Match`, `If-None-Match`) does not hold',
    },
    DELETE: {
      needs: 'content/delete',
      handler: remove,
      spec: 'end-9',
      answer: '202: the tag is deleted, or the manifest with all tags that point to it; 412 as for PUT',
    },
  });
}

const unchanged = (bytes: unknown) => bytes as string;

type Query = { repository: Repository; tags?: Tag[]; expect?: Digest | null };

type Content = { bytes: Uint8Array } | { id: string; claim: string };
type Stored = Static<typeof putManifest.reply>;

/** For a client that sends no media type: the manifest may contain it. */
function mediaTypeWithin(bytes: Buffer): string {
  try {
    return String((parseJson(bytes) as { mediaType?: unknown }).mediaType ?? '');
  } catch {
    return '';
  }
}

/** The tags that a push by digest names (distribution-spec, "Pushing Manifests": end-7b). */
function tagsOf(request: FastifyRequest, reference: Reference): Tag[] {
  if (!isDigest(reference)) return [];
  const tags = [...new Set(parameters(request, 'tag'))];
  if (tags.length > MAX_TAGS)
    throw new Fault('malformed', `the request has ${tags.length} tags: the limit is ${MAX_TAGS}`);
  return tags.map(parseTagName);
}

/** A reference that cannot be a tag is a tag that does not exist. */
function existingReference(request: FastifyRequest): Reference {
  try {
    return parseReferenceName(segment(request, 'reference'));
  } catch (cause) {
    if (!Fault.is(cause, 'manifest-invalid')) throw cause;
    throw new Fault('manifest-unknown', `no such manifest: ${cause.message}`, { cause });
  }
}

/** Media type without its parameters, in lower case (RFC 9110, 8.3.1). */
function mediaTypeOf(request: FastifyRequest): string | undefined {
  return request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
}

function describe(reply: FastifyReply, { digest, mediaType }: ManifestPlace): void {
  reply.headers({ 'docker-content-digest': digest, etag: etagOf(digest), 'content-type': mediaType });
}

/**
 * Warning that the manifest is not pushed to the parent, as no selection covers its repository (distribution-spec 1.1,
 * "Warnings").
 */
function warningOf({ configuration }: Gateway, repository: Repository): { warning?: string } {
  const { parent, repositories = [] } = configuration() ?? {};
  const patterns = repositories.map(({ name }) => name);
  if (!parent || matchesPattern(patterns, repository)) return {};
  const why = `no selection covers ${repository}: add it to repositories to push it to the parent`;
  return { warning: `299 - "stored in this layer only: ${why}"` };
}

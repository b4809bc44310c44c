import { type Static, Type } from '@sinclair/typebox';
import { request } from '../contract/contract.ts';
import { Bytes, Digest, Repository, Tag } from '../oci/names.ts';
import { BlobPlace } from './blobs.ts';

/**
 * Content that is on its way from the parent, for the layers below, which fetch what of it is here already: so a blob
 * goes down through several layers in about the time that one link takes. What is told here is a hint, and what is
 * read may turn out to be wrong: whoever fetches it checks the whole before it is committed.
 */

/** In how short a form a cursor and the number of an attempt are told. */
const Short = Type.String({ pattern: '^[0-9a-f]{1,64}$', maxLength: 64 });

/**
 * What of an image a blob is, as far as that is known, so that a layer below can tell whether it wants it: the tags
 * that are to point to the image, the platforms of an index that it belongs to (none: it belongs to all), and whether
 * it comes as a referrer.
 */
export const Part = Type.Object({
  tags: Type.Array(Tag, { maxItems: 20 }),
  platforms: Type.Optional(Type.Array(Type.String({ maxLength: 100 }), { maxItems: 20 })),
  referrer: Type.Optional(Type.Boolean()),
});
export type Part = Static<typeof Part>;

/** `attempt` is another one each time that somebody begins, or goes on, to bring it. */
export const ArrivingBlob = Type.Object({
  repository: Repository,
  digest: Digest,
  size: Bytes,
  attempt: Short,
  part: Type.Optional(Part),
});
export type ArrivingBlob = Static<typeof ArrivingBlob>;

/** Blobs that are being brought now, at most 1,000. */
export const listArriving = request(
  'storage.arriving.list',
  Type.Object({}),
  Type.Object({ blobs: Type.Array(ArrivingBlob, { maxItems: 1_000 }) }),
);

/**
 * Where the bytes of a blob are that came, or come, over the link for this repository. `coming`: `path` is the ingest's
 * folder; else it is that of the committed content, whether or not the repository links it yet. Faults: `blob-unknown`.
 */
export const locateArriving = request(
  'storage.arriving.locate',
  Type.Object({ repository: Repository, digest: Digest }),
  Type.Intersect([BlobPlace, Type.Object({ coming: Type.Boolean() })]),
);

/**
 * Over HTTP: `GET <path>?after=CURSOR&wait=S` is answered with an `Arriving` as soon as it is another than the one of
 * that cursor. `GET <path>/<digest>?repository=R&wait=S` with a Range header is answered 206 with what of the range is
 * there from its start on, or 204 where that is nothing after `wait` seconds: ask again.
 */
export const ARRIVING_PATH = '/v2/_terrace/arriving';
export const Arriving = Type.Object({ cursor: Short, blobs: Type.Array(ArrivingBlob, { maxItems: 1_000 }) });
export type Arriving = Static<typeof Arriving>;

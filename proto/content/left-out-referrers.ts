import { request } from '../contract/contract.ts';
import { After, Code, Count } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, MediaType, Repository } from '../oci/names.ts';
import { Fenced } from './terms.ts';

/**
 * Referrers that a layer has left out, by subject. A pass records them at storage before it moves the tag of the image,
 * each change enters the journal, and the list of referrers names them to the layers below.
 */

/** As a subject: every manifest of the repository, of which no list of referrers can be read. No content has it. */
export const EVERY_MANIFEST: Digest = `sha256:${'0'.repeat(64)}`;

/** Max referrers in a record; further ones are only counted. */
export const MAX_RECORDED = 20;
/** Max length of a recorded reason, in characters: all of a record are sent with each list. */
export const MAX_RECORDED_REASON = 500;

const Why = { code: Code, reason: Type.String({ maxLength: MAX_RECORDED_REASON }) };

/** One referrer, or the list of them (`referrers`). */
export const LeftOutReferrer = Type.Object({
  kind: Type.Union([Type.Literal('referrer'), Type.Literal('referrers')]),
  digest: Type.Optional(Digest),
  artifactType: Type.Optional(MediaType),
  ...Why,
});
export type LeftOutReferrer = Static<typeof LeftOutReferrer>;

const Recorded = {
  /** Number of all; `first` lists some of them. */
  count: Count,
  first: Type.Array(LeftOutReferrer, { maxItems: MAX_RECORDED }),
};

/** What is left out of the referrers of one subject. */
export const LeftOutRecord = Type.Object(Recorded);
export type LeftOutRecord = Static<typeof LeftOutRecord>;

/** `hidden`: why no list of the repository can be read, if that is so. */
export const LeftOutReferrers = Type.Object({ ...Recorded, hidden: Type.Optional(Type.Object(Why)) });
export type LeftOutReferrers = Static<typeof LeftOutReferrers>;

/** Annotation of the first page of a list of referrers: `LeftOutReferrers` as JSON. Absent if nothing is left out. */
export const LEFT_OUT_ANNOTATION = 'vnd.terrace.left-out';

const OfSubject = { repository: Repository, subject: Digest };

/** Replaces the record of a subject; a `count` of 0 deletes it. A subject that is not here has none. */
export const recordLeftOut = request(
  'storage.referrer.record',
  Type.Object({ ...OfSubject, ...Recorded, ...Fenced }),
  Type.Object({}),
);

/** All records, in order of repository, then subject. `after` is `<repository>!<subject>`. */
export const listRecorded = request(
  'storage.referrer.recorded',
  Type.Object({
    after: Type.Optional(After),
    limit: Type.Integer({ minimum: 0, maximum: 1000 }),
  }),
  Type.Object({
    records: Type.Array(Type.Object({ ...OfSubject, ...Recorded }), { maxItems: 1000 }),
    more: Type.Boolean(),
  }),
);

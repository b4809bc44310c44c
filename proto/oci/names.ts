import { Fault } from '../contract/fault.ts';
import { type Static, Type } from '../contract/schema.ts';

/** Grammar of repositories, tags and digests (OCI distribution-spec 1.1, "Pulling manifests"). */
const REPOSITORY = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*';
const TAG = '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}';
const DIGEST = 'sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}';

/** At most 255 characters, the limit of every registry in use. */
export const Repository = Type.String({
  pattern: `^${REPOSITORY}$`,
  maxLength: 255,
  description: 'Name of the repository.',
});
export type Repository = Static<typeof Repository>;

export const Tag = Type.String({ pattern: `^${TAG}$`, maxLength: 128, description: 'The tag.' });
export type Tag = Static<typeof Tag>;

export const Digest = Type.String({
  pattern: `^(?:${DIGEST})$`,
  maxLength: 135,
  description: 'Digest of the content.',
});
export type Digest = Static<typeof Digest>;

/** A tag or a digest. */
export const Reference = Type.Union([Tag, Digest]);
export type Reference = Static<typeof Reference>;

/**
 * Max length of the media type or artifact type of a manifest, in characters. RFC 6838, 4.2: two names of at most 127
 * characters, and parameters.
 */
export const MAX_MEDIA_TYPE = 512;
export const MediaType = Type.String({
  maxLength: MAX_MEDIA_TYPE,
  description: 'Media type of the manifest.',
});

const repositoryForm = new RegExp(`^${REPOSITORY}$`);
const tagForm = new RegExp(`^${TAG}$`);
const digestForm = new RegExp(`^(?:${DIGEST})$`);

export const isRepository = (text: string): boolean => text.length <= 255 && repositoryForm.test(text);
export const isTag = (text: string): boolean => tagForm.test(text);
export const isDigest = (text: string): boolean => digestForm.test(text);

/** @throws Fault `name-invalid` */
export function parseRepositoryName(text: string): Repository {
  if (isRepository(text)) return text;
  throw new Fault(
    'name-invalid',
    `repository name ${quote(text)} is not valid: use lower-case letters, digits and . _ - between them, / between parts, 255 characters at most`,
  );
}

/** @throws Fault `digest-invalid` */
export function parseDigestName(text: string): Digest {
  if (isDigest(text)) return text;
  throw new Fault(
    'digest-invalid',
    `digest ${quote(text)} is not valid: write sha256: and 64, or sha512: and 128 lower-case hexadecimal digits`,
  );
}

/** A tag or digest. @throws Fault `digest-invalid` for text with a colon, `manifest-invalid` for any other bad tag */
export function parseReferenceName(text: string): Reference {
  return text.includes(':') ? parseDigestName(text) : parseTagName(text);
}

/** @throws Fault `manifest-invalid` */
export function parseTagName(text: string): Tag {
  if (isTag(text)) return text;
  throw new Fault(
    'manifest-invalid',
    `tag ${quote(text)} is not valid: use letters, digits and . _ -, not . or - first, 128 characters at most`,
  );
}

/** `sha256:abc…` → `['sha256', 'abc…']` */
export function splitDigest(digest: Digest): [algorithm: 'sha256' | 'sha512', hex: string] {
  const colon = digest.indexOf(':');
  return [digest.slice(0, colon) as 'sha256' | 'sha512', digest.slice(colon + 1)];
}

const quote = (text: string) => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);

import { check } from '../contract/contract.ts';
import { Fault } from '../contract/fault.ts';
import {
  Descriptor,
  isIndexType,
  isManifestType,
  jsonOf,
  MAX_MANIFEST_BYTES,
  type Manifest,
  ManifestDocument,
  mediaTypes,
  referencesOf,
} from './manifest.ts';

/**
 * Reads manifests that a registry has accepted already. Its digest proves the content, so only what a reference depends
 * on is checked: digests, and the form of the lists. Fields that nothing here depends on are dropped if they are not
 * as the specification has them. The bytes themselves are never changed.
 */

/** Types of manifests that are not supported, by the beginning of their media type, with what can be done. */
const UNSUPPORTED: [RegExp, string][] = [
  [
    /^application\/vnd\.docker\.distribution\.manifest\.v1\b/,
    'schema 1 is not supported: push the image again with a current client, or exclude the tag',
  ],
  [
    /^application\/vnd\.(oci\.artifact|cncf\.oras\.artifact)\.manifest\b/,
    'artifact manifests of release candidates are not supported: push the artifact again with a current client',
  ],
];

/** The message names a remedy. */
const HAS_REMEDY = { detail: { hasRemedy: true } };

const NEITHER = new Fault(
  'manifest-invalid',
  'the content is neither an image manifest nor an index: check what the registry serves here',
  HAS_REMEDY,
);

/** A media type without its parameters, in lower case (RFC 9110, 8.3.1); empty if it is none. */
export const plainMediaType = (text: unknown): string =>
  typeof text === 'string' ? (text.split(';', 1)[0] ?? '').trim().toLowerCase() : '';

/**
 * @param hint media type as a header or a descriptor has it: what the bytes say counts more
 * @throws Fault `manifest-invalid`, naming the field; `too-large`
 */
export function readManifest(bytes: Uint8Array, hint: string): Manifest {
  if (bytes.byteLength > MAX_MANIFEST_BYTES) {
    throw new Fault(
      'too-large',
      `the manifest has ${bytes.byteLength} bytes: the limit is ${MAX_MANIFEST_BYTES}`,
    );
  }
  const json = jsonOf(bytes);
  if (!isObject(json)) throw new Fault('manifest-invalid', 'the manifest is not an object');
  const mediaType = mediaTypeOf(json, plainMediaType(hint));
  const listed = json.manifests;
  const entries = isIndexType(mediaType) && Array.isArray(listed) ? listed.filter(isDescriptor) : listed;
  let document: ManifestDocument;
  try {
    document = check(ManifestDocument, tolerant({ ...json, manifests: entries }));
  } catch (cause) {
    throw new Fault('manifest-invalid', `manifest field ${(cause as Error).message}`, { cause });
  }
  const malformed = Array.isArray(listed) ? listed.length - (document.manifests ?? []).length : 0;
  return { ...referencesOf(document, mediaType), ...(malformed > 0 && { malformed }) };
}

/** @throws Fault `manifest-invalid` if it is none of the supported types */
function mediaTypeOf(json: Record<string, unknown>, hint: string): string {
  const own = plainMediaType(json.mediaType);
  for (const type of [own, hint]) {
    const unsupported = UNSUPPORTED.find(([pattern]) => pattern.test(type));
    if (unsupported) throw new Fault('manifest-invalid', unsupported[1], HAS_REMEDY);
  }
  if (json.schemaVersion === 1) throw new Fault('manifest-invalid', UNSUPPORTED[0]?.[1] ?? '', HAS_REMEDY);
  const isList = Array.isArray(json.manifests) || json.manifests === null;
  const isImage = isObject(json.config) || Array.isArray(json.layers);
  if (!isList && !isImage) throw NEITHER;
  if (isManifestType(own)) return own;
  // A document that has both kinds of fields has no meaning of its own: the registry decides how clients read it.
  if (isManifestType(hint) && (isList === isImage || isList === isIndexType(hint))) return hint;
  if (isList === isImage) throw NEITHER;
  if (isList) return mediaTypes.ociIndex;
  const { mediaType } = (json.config ?? {}) as { mediaType?: unknown };
  const isDocker = plainMediaType(mediaType).startsWith('application/vnd.docker.');
  return isDocker ? mediaTypes.dockerManifest : mediaTypes.ociManifest;
}

/** The document with the fields that are checked, and without those that are malformed and not needed. */
function tolerant(json: Record<string, unknown>): unknown {
  return compact({
    schemaVersion: 2,
    artifactType: text(json.artifactType),
    config: json.config === null ? undefined : readDescriptor(json.config),
    layers: list(json.layers),
    manifests: list(json.manifests),
    subject: json.subject === null ? undefined : readDescriptor(json.subject),
    annotations: texts(json.annotations),
  });
}

function isDescriptor(value: unknown): boolean {
  try {
    check(Descriptor, readDescriptor(value));
    return true;
  } catch {
    return false;
  }
}

const list = (value: unknown): unknown =>
  value === null ? [] : Array.isArray(value) ? value.map(readDescriptor) : value;

/** Size 0 stands for an unknown size: the parent's answer gives the real one. */
export function readDescriptor(value: unknown): unknown {
  if (!isObject(value)) return value;
  const size = Number(value.size);
  const mediaType = text(value.mediaType) ?? '';
  const plain = plainMediaType(mediaType);
  const platform = isObject(value.platform) ? value.platform : undefined;
  const { architecture, os, variant } = platform ?? {};
  return compact({
    mediaType: isManifestType(plain) ? plain : mediaType,
    digest: value.digest,
    size: Number.isSafeInteger(size) && size > 0 ? size : 0,
    artifactType: text(value.artifactType),
    annotations: texts(value.annotations),
    urls: Array.isArray(value.urls) ? value.urls.filter((url) => typeof url === 'string') : undefined,
    platform: platform && compact({ architecture: text(architecture), os: text(os), variant: text(variant) }),
  });
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function texts(value: unknown): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const compact = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

import { parseJson } from '../contract/bounded-json.ts';
import { check } from '../contract/contract.ts';
import { Fault } from '../contract/fault.ts';
import { Bytes } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest } from './names.ts';

/**
 * Names and documents of the OCI specifications: names, tags and digests with their schemas (names.ts), manifests (this
 * file), and the selections that operators write: patterns of repositories (repository-pattern.ts), globs and regular
 * expressions of tags (tag-glob.ts, tag-regex.ts), the mode of a layer (mode.ts).
 *
 * A manifest (OCI image-spec 1.1, or Docker schema 2) is stored byte for byte, as its digest is that of its bytes.
 * `parseManifest` checks what a client pushes: size, media type, JSON and fields. It returns the references: blobs,
 * manifests of an index, and a subject. Storage commits the manifest if these blobs and manifests are in the
 * repository.
 * `readManifest` (read-manifest.ts) reads what a registry has stored already, with less strict rules.
 */

/** Max size of a manifest in bytes: registries accept 4 MiB (distribution-spec, "Pushing manifests"). */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const;

const indexes = new Set<string>([mediaTypes.ociIndex, mediaTypes.dockerList]);
const images = new Set<string>([mediaTypes.ociManifest, mediaTypes.dockerManifest]);

export const isManifestType = (mediaType: string): boolean => indexes.has(mediaType) || images.has(mediaType);
export const manifestTypes: readonly string[] = [...images, ...indexes];

const Annotations = Type.Record(Type.String(), Type.String());
/** Some builders omit some of these fields. */
const Platform = Type.Object({
  architecture: Type.Optional(Type.String()),
  os: Type.Optional(Type.String()),
  variant: Type.Optional(Type.String()),
});

export const Descriptor = Type.Object({
  mediaType: Type.String(),
  digest: Digest,
  size: Bytes,
  artifactType: Type.Optional(Type.String()),
  annotations: Type.Optional(Annotations),
  urls: Type.Optional(Type.Array(Type.String())),
  platform: Type.Optional(Platform),
});
export type Descriptor = Static<typeof Descriptor>;

export const ManifestDocument = Type.Object({
  schemaVersion: Type.Literal(2),
  mediaType: Type.Optional(Type.String()),
  artifactType: Type.Optional(Type.String()),
  config: Type.Optional(Descriptor),
  layers: Type.Optional(Type.Array(Descriptor)),
  manifests: Type.Optional(Type.Array(Descriptor)),
  subject: Type.Optional(Descriptor),
  annotations: Type.Optional(Annotations),
});

export type ManifestDocument = Static<typeof ManifestDocument>;

/** A manifest's references, and its own metadata. */
export type Manifest = {
  mediaType: string;
  /** Config and layers without foreign layers; of an index, the entries that are blobs (as in BuildKit's cache). */
  blobs: Descriptor[];
  /** Foreign layers, which have `urls` and need not be in a registry. */
  foreign: Descriptor[];
  /** Manifests of an index. */
  manifests: Descriptor[];
  /** Number of entries of an index that are no descriptors; absent if there are none. */
  malformed?: number;
  subject?: Descriptor;
  /** As in the referrers list: the manifest's own, else the media type of its config. */
  artifactType?: string;
  annotations?: Record<string, string>;
};

/** Max JSON values in a manifest. A descriptor has three values and 100 bytes. */
const MAX_VALUES = 200_000;

const quote = (text: string): string => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);

const isForeign = (layer: Descriptor) => /\.(foreign|nondistributable)\./.test(layer.mediaType);

/** Whether an entry of an index is a blob: its media type is not missing, and not that of a manifest. */
const isBlobEntry = ({ mediaType }: Descriptor) =>
  mediaType !== '' && !/manifest|index|\+prettyjws/i.test(mediaType);

export const isIndexType = (mediaType: string): boolean => indexes.has(mediaType);

/**
 * @param mediaType from the Content-Type
 * @throws Fault `manifest-invalid`, naming the field; `too-large`
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): Manifest {
  if (bytes.byteLength > MAX_MANIFEST_BYTES) {
    throw new Fault(
      'too-large',
      `the manifest has ${bytes.byteLength} bytes: the limit is ${MAX_MANIFEST_BYTES}`,
    );
  }
  if (!isManifestType(mediaType)) {
    throw new Fault(
      'manifest-invalid',
      `media type ${quote(mediaType)} is not supported: send one of ${manifestTypes.join(', ')} as Content-Type`,
    );
  }
  const json = jsonOf(bytes);
  let document: ManifestDocument;
  try {
    document = check(ManifestDocument, withoutNulls(json));
  } catch (cause) {
    throw new Fault('manifest-invalid', `manifest field ${(cause as Error).message}`, { cause });
  }
  if (document.mediaType !== undefined && document.mediaType !== mediaType) {
    throw new Fault(
      'manifest-invalid',
      `manifest field /mediaType is ${quote(document.mediaType)}, but Content-Type is ${mediaType}: they must agree`,
    );
  }
  const index = indexes.has(mediaType);
  if (index && document.manifests === undefined)
    throw new Fault('manifest-invalid', 'manifest field /manifests is missing');
  if (!index && (!document.config || document.layers === undefined)) {
    throw new Fault(
      'manifest-invalid',
      `manifest field /${document.config ? 'layers' : 'config'} is missing`,
    );
  }
  return referencesOf(document, mediaType);
}

/** @throws Fault `manifest-invalid`, `too-large` */
export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes, { values: MAX_VALUES });
  } catch (cause) {
    if (Fault.is(cause))
      throw new Fault('manifest-invalid', `cannot read the manifest: ${cause.message}`, { cause });
    throw new Fault('manifest-invalid', 'the manifest is not JSON in UTF-8', { cause });
  }
}

/** The references of a checked document. */
export function referencesOf(document: ManifestDocument, mediaType: string): Manifest {
  const { config, layers = [], manifests = [], subject, annotations } = document;
  const index = indexes.has(mediaType);
  // An empty artifactType counts as absent (distribution-spec 1.1, "Listing Referrers").
  const artifactType = document.artifactType || (index ? undefined : config?.mediaType);
  const content = [...(config ? [config] : []), ...layers.filter((layer) => !isForeign(layer))];
  return {
    mediaType,
    blobs: index ? manifests.filter(isBlobEntry) : content,
    foreign: index ? [] : layers.filter(isForeign),
    manifests: index ? manifests.filter((entry) => !isBlobEntry(entry)) : [],
    ...(subject && { subject }),
    ...(artifactType && { artifactType }),
    ...(annotations && { annotations }),
  };
}

/** Go programs write null for an empty list and for an absent field. */
function withoutNulls(json: unknown): unknown {
  const lists = ['layers', 'manifests'];
  return mapFields(json, (key, value) => {
    if (lists.includes(key))
      return value === null ? [] : Array.isArray(value) ? value.map(withoutNullFields) : value;
    return key === 'config' || key === 'subject' ? withoutNullFields(value) : value;
  });
}

const withoutNullFields = (descriptor: unknown): unknown => mapFields(descriptor, (_, value) => value);

/** Maps the fields of an object, and drops those that become null. */
function mapFields(value: unknown, change: (key: string, value: unknown) => unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const changed = Object.entries(value).map(([key, field]) => [key, change(key, field)] as const);
  return Object.fromEntries(changed.filter(([, field]) => field !== null));
}

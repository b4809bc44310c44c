import { type Static, Type } from '@sinclair/typebox';
import { parseJson } from '../contract/bounded-json.ts';
import { check } from '../contract/contract.ts';
import { Fault } from '../contract/fault.ts';
import { Bytes, Digest } from './names.ts';

/** Manifests as the OCI image-spec 1.1 and Docker schema 2 have them, read for what they refer to. */

/** Registries take manifests up to 4 MiB (distribution-spec, "Pushing manifests"). */
export const MANIFEST_LIMIT = 4 * 1024 * 1024;

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
/** Some builders leave parts of it out. */
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

const Document = Type.Object({
  schemaVersion: Type.Literal(2),
  mediaType: Type.Optional(Type.String()),
  artifactType: Type.Optional(Type.String()),
  config: Type.Optional(Descriptor),
  layers: Type.Optional(Type.Array(Descriptor)),
  manifests: Type.Optional(Type.Array(Descriptor)),
  subject: Type.Optional(Descriptor),
  annotations: Type.Optional(Annotations),
});

/** What a manifest says of itself and refers to. */
export type Manifest = {
  mediaType: string;
  /** Config and layers; foreign layers (which have `urls` and need not be in a registry) are left out. */
  blobs: Descriptor[];
  /** Manifests of an index. */
  manifests: Descriptor[];
  subject?: Descriptor;
  /** As the referrers list gives it: the manifest's own, else its config's media type. */
  artifactType?: string;
  annotations?: Record<string, string>;
};

/** Values of JSON in a manifest: a descriptor has three, and 100 bytes. */
const MAX_VALUES = 200_000;

const quote = (text: string): string => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);

const foreign = (layer: Descriptor) => /\.(foreign|nondistributable)\./.test(layer.mediaType);

/**
 * @param mediaType as the Content-Type said
 * @throws Fault `manifest-invalid`, naming the field
 */
export function readManifest(bytes: Uint8Array, mediaType: string): Manifest {
  if (bytes.byteLength > MANIFEST_LIMIT) {
    throw new Fault(
      'too-large',
      `a manifest may have ${MANIFEST_LIMIT} bytes, this one has ${bytes.byteLength}`,
    );
  }
  if (!isManifestType(mediaType)) {
    throw new Fault(
      'manifest-invalid',
      `media type ${quote(mediaType)} is not taken: send one of ${manifestTypes.join(', ')} as Content-Type`,
    );
  }
  let json: unknown;
  try {
    json = parseJson(bytes, { values: MAX_VALUES });
  } catch (cause) {
    if (Fault.is(cause))
      throw new Fault('manifest-invalid', `the manifest can't be read: ${cause.message}`, { cause });
    throw new Fault('manifest-invalid', 'the manifest is not JSON in UTF-8', { cause });
  }
  let document: Static<typeof Document>;
  try {
    document = check(Document, plain(json));
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
  // An empty one is none (distribution-spec 1.1, "Listing Referrers").
  const artifactType = document.artifactType || (index ? undefined : document.config?.mediaType);
  return {
    mediaType,
    blobs: index ? [] : [document.config!, ...document.layers!.filter((layer) => !foreign(layer))],
    manifests: index ? (document.manifests ?? []) : [],
    ...(document.subject && { subject: document.subject }),
    ...(artifactType && { artifactType }),
    ...(document.annotations && { annotations: document.annotations }),
  };
}

/** Go programs write null for an empty list, and for a field that says nothing. */
function plain(json: unknown): unknown {
  const lists = ['layers', 'manifests'];
  return fields(json, (key, value) => {
    if (lists.includes(key)) return value === null ? [] : Array.isArray(value) ? value.map(spoken) : value;
    return key === 'config' || key === 'subject' ? spoken(value) : value;
  });
}

const spoken = (descriptor: unknown): unknown => fields(descriptor, (_, value) => value);

function fields(value: unknown, change: (key: string, value: unknown) => unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const changed = Object.entries(value).map(([key, field]) => [key, change(key, field)] as const);
  return Object.fromEntries(changed.filter(([, field]) => field !== null));
}

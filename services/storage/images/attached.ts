import { type Attached, MAX_ATTACHED } from '#proto/content/images.ts';
import { clip } from '#proto/contract/clip.ts';
import { type ArtifactKind, artifactKind, attachedTag, attachedTags } from '#proto/oci/artifact-kind.ts';
import { isImageConfig, platformText } from '#proto/oci/image-config.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { CommittedContent, ReadManifest } from './committed-content.ts';
import { schemeOf, signerOf } from './signer.ts';

/** Max size of a signature that is read for the name of its author, in bytes. */
const MAX_SIGNATURE_BYTES = 256 * 1024;
const MAX_TYPE = 256;
/** Max entries of an index that are examined for attestations. */
const MAX_ENTRIES = 200;

/** Annotations of BuildKit at the entries of an index, and of attestations at their content. */
const REFERENCE_TYPE = 'vnd.docker.reference.type';
const REFERENCE_DIGEST = 'vnd.docker.reference.digest';
const PREDICATES = ['in-toto.io/predicate-type', 'predicateType', 'dev.sigstore.bundle.predicateType'];
/** Predicate by which cosign signs in a bundle. */
const SIGNING = /sigstore\.dev\/cosign\/sign/;

type AttachedDeps = {
  metadata: Pick<Metadata, 'referrersOfSubject' | 'manifest' | 'manifestsByDigest' | 'tagsByName'>;
  content: CommittedContent;
};

/** A manifest that may carry documents about an image. */
type Carrier = {
  via: Attached['via'];
  digest: string;
  mediaType: string;
  size: number;
  artifactType?: string | undefined;
  kind?: ArtifactKind;
  platform?: string | undefined;
};

/** Whether the entry of an index is an attestation of BuildKit, and no image. */
export const isAttestation = ({ annotations }: Descriptor): boolean =>
  annotations?.[REFERENCE_TYPE] === 'attestation-manifest';

/**
 * What belongs to an image: its referrers, what cosign keeps under tags, and attestations in its index.
 * @param image undefined if it can't be read
 */
export async function attachedTo(
  deps: AttachedDeps,
  repository: string,
  digest: string,
  image: ReadManifest | undefined,
): Promise<{ attached: Attached[]; moreAttached?: true }> {
  const attached: Attached[] = [];
  for await (const carrier of carriers(deps, repository, digest, image)) {
    const documents = await documentsOf(deps.content, carrier);
    for (const document of documents) attached.push(document);
    if (attached.length > MAX_ATTACHED)
      return { attached: attached.slice(0, MAX_ATTACHED), moreAttached: true };
  }
  return { attached };
}

async function* carriers(
  { metadata }: AttachedDeps,
  repository: string,
  subject: string,
  image: ReadManifest | undefined,
): AsyncGenerator<Carrier> {
  for await (const [digest, record] of metadata.referrersOfSubject(repository, subject)) {
    const { mediaType, size, artifactType } = record;
    yield { via: 'referrer', digest, mediaType, size, artifactType };
  }
  const tags = attachedTags.map(([suffix]) => attachedTag(subject, suffix));
  const targets = await metadata.tagsByName(repository, tags);
  for (const [index, digest] of targets.entries()) {
    const record = digest === undefined ? undefined : await metadata.manifest(repository, digest);
    const [, kind] = attachedTags[index] ?? [];
    if (digest !== undefined && record && kind) yield { via: 'tag', digest, kind, ...record };
  }
  const entries = (image?.manifests ?? []).slice(0, MAX_ENTRIES).filter(isAttestation);
  const records = await metadata.manifestsByDigest(
    repository,
    entries.map(({ digest }) => digest),
  );
  for (const [index, { digest, annotations }] of entries.entries()) {
    const record = records[index];
    if (!record) continue;
    const about = image?.manifests.find((entry) => entry.digest === annotations?.[REFERENCE_DIGEST]);
    yield { via: 'index', digest, kind: 'attestation', platform: platformText(about?.platform), ...record };
  }
}

/** The documents that a manifest carries: its layers, or, if it has none or can't be read, itself. */
async function documentsOf(content: CommittedContent, carrier: Carrier): Promise<Attached[]> {
  const { via, digest, mediaType, size, kind, platform } = carrier;
  const manifest = await content.manifest(digest, mediaType);
  const own = carrier.artifactType ?? manifest?.artifactType;
  // Cosign keeps signatures in manifests that look like images.
  const type = own !== undefined && isImageConfig(own) ? undefined : own;
  const common = {
    via,
    digest,
    ...(type && { artifactType: clip(type, MAX_TYPE) }),
    ...(platform !== undefined && { platform }),
  };
  // The first blob is the configuration.
  const layers = manifest?.blobs.slice(1, MAX_ATTACHED + 2) ?? [];
  if (layers.length === 0) return [{ ...common, kind: kind ?? artifactKind(type ?? ''), size }];
  const documents: Attached[] = [];
  for (const layer of layers) {
    const predicate = predicateOf({ ...manifest?.annotations, ...layer.annotations });
    const named = predicate === undefined ? undefined : predicateKind(predicate);
    const found = named ?? kind ?? kindOfContent(type, layer.mediaType);
    documents.push({
      ...common,
      ...(predicate !== undefined && { artifactType: clip(predicate, MAX_TYPE) }),
      kind: found,
      content: layer.digest,
      ...(layer.mediaType && { contentType: clip(layer.mediaType, MAX_TYPE) }),
      size: layer.size,
      ...(found === 'signature' && { signer: await signer(content, type ?? '', layer) }),
    });
  }
  return documents;
}

const predicateOf = (annotations: Record<string, string>): string | undefined =>
  PREDICATES.map((name) => annotations[name]).find((text) => text !== undefined);

const predicateKind = (predicate: string): ArtifactKind => {
  if (SIGNING.test(predicate)) return 'signature';
  const kind = artifactKind(predicate);
  return kind === 'sbom' ? 'sbom' : 'attestation';
};

/** The artifact type says it, else the type of the content. */
function kindOfContent(artifactType: string | undefined, mediaType: string): ArtifactKind {
  const kind = artifactKind(artifactType ?? '');
  return kind === 'other' ? artifactKind(mediaType) : kind;
}

async function signer(content: CommittedContent, artifactType: string, layer: Descriptor) {
  const type = schemeOf(artifactType) === 'other' ? layer.mediaType : artifactType;
  const isReadable = /json/i.test(layer.mediaType) && schemeOf(type) !== 'cosign';
  const bytes = isReadable ? await content.read(layer.digest, MAX_SIGNATURE_BYTES) : undefined;
  return signerOf(type, layer.annotations ?? {}, bytes);
}

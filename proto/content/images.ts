import { described, request } from '../contract/contract.ts';
import { Bytes, Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, MediaType, Repository } from '../oci/names.ts';

/** What storage knows of images as a list shows them, without sending their content or renewing their grace. */

const Text = Type.String({ maxLength: 256 });

/** Where the target of a tag came from, and since when the tag points to it. */
export const TagOrigin = Type.Object(
  {
    from: Type.Union(
      [Type.Literal('parent'), Type.Literal('client'), Type.Literal('child'), Type.Literal('unknown')],
      {
        description:
          'parent: a pass pulled it. client: a client pushed it. child: a layer below pushed it. unknown: it is older than the records of origins, or another version of Terrace moved the tag.',
      },
    ),
    name: Type.Optional(described(Text, 'Address of the parent, or the account that pushed it.')),
    since: Type.Optional(described(Instant, 'When the tag was moved there.')),
    before: Type.Optional(
      described(Instant, 'If that is unknown: when origins began to be recorded; the tag is older.'),
    ),
  },
  { description: 'Where the target of the tag came from.' },
);
export type TagOrigin = Static<typeof TagOrigin>;

/** Max documents that belong to one image, in an answer. */
export const MAX_ATTACHED = 16;
/** Max platforms of one image, in an answer. */
export const MAX_PLATFORMS = 32;

/** What a signature says of its author. */
export const Signer = Type.Object(
  {
    scheme: Type.Union(
      [Type.Literal('cosign'), Type.Literal('sigstore'), Type.Literal('notation'), Type.Literal('other')],
      { description: 'Kind of the signature.' },
    ),
    by: Type.Optional(described(Text, 'Name in its certificate; absent if it was made with a key alone.')),
    issuer: Type.Optional(described(Text, 'Issuer of that certificate, as it says.')),
    verified: Type.Boolean({
      description: 'The layer has verified it. false: only its own words are known.',
    }),
  },
  { description: 'Of a signature: its author, as it says itself.' },
);
export type Signer = Static<typeof Signer>;

/** A document that belongs to an image: a signature, an SBOM, an attestation or anything else. */
export const Attached = Type.Object(
  {
    kind: Type.Union(
      [Type.Literal('signature'), Type.Literal('sbom'), Type.Literal('attestation'), Type.Literal('other')],
      { description: 'What it is, by its types.' },
    ),
    via: Type.Union([Type.Literal('referrer'), Type.Literal('tag'), Type.Literal('index')], {
      description:
        'How it belongs to the image. referrer: its manifest names the image as subject. tag: by a tag of cosign. index: as an attestation of BuildKit in the index.',
    }),
    digest: described(Digest, 'Its manifest.'),
    artifactType: Type.Optional(described(Text, 'Artifact type of its manifest, or type of its predicate.')),
    content: Type.Optional(described(Digest, 'The content itself, a blob of the repository.')),
    contentType: Type.Optional(described(Text, 'Media type of the content.')),
    size: described(Bytes, 'Size of the content; of the manifest if it has none.'),
    platform: Type.Optional(
      Type.String({ maxLength: 100, description: 'Platform that it is about, if it is one of the index.' }),
    ),
    signer: Type.Optional(Signer),
  },
  { description: 'A document that belongs to the image.' },
);
export type Attached = Static<typeof Attached>;

export const ImageFacts = Type.Object(
  {
    digest: Digest,
    mediaType: MediaType,
    artifactType: Type.Optional(described(Text, 'Of an artifact: its type, or that of its configuration.')),
    size: described(Bytes, 'Size of the manifest.'),
    total: described(Bytes, 'Bytes of the image that the layer has: manifests, configurations and layers.'),
    missing: described(
      Count,
      'Parts that it names and the layer does not have, those left out on purpose too.',
    ),
    platforms: Type.Array(Type.String({ maxLength: 100 }), {
      maxItems: MAX_PLATFORMS,
      description: 'Platforms that the layer has, as os/architecture/variant.',
    }),
    attached: Type.Optional(
      Type.Array(Attached, {
        maxItems: MAX_ATTACHED,
        description: 'Documents that belong to it, if requested.',
      }),
    ),
    moreAttached: Type.Optional(Type.Boolean({ description: 'There are more of them.' })),
  },
  { description: 'An image, index or artifact as the layer has it.' },
);
export type ImageFacts = Static<typeof ImageFacts>;

/** Max images that one request names. */
export const MAX_DESCRIBED = 50;

/**
 * Facts of manifests of a repository, in the order of the request: the first ones, as many as fit into an answer, and
 * always one. A manifest that is not here is left out of the answer; `described` counts it too. `attached`: also what
 * belongs to them.
 */
export const describeImages = request(
  'storage.image.describe',
  Type.Object({
    repository: Repository,
    digests: Type.Array(Digest, { minItems: 1, maxItems: MAX_DESCRIBED }),
    attached: Type.Optional(Type.Boolean()),
  }),
  Type.Object({
    images: Type.Array(ImageFacts, { maxItems: MAX_DESCRIBED }),
    described: Type.Integer({ minimum: 1, maximum: MAX_DESCRIBED }),
  }),
);

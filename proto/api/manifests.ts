import { AccountName } from '../accounts/accounts.ts';
import { ImageFacts, TagOrigin } from '../content/images.ts';
import { LeftOutManifest } from '../content/manifests.ts';
import { described } from '../contract/contract.ts';
import { Bytes, Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, MediaType, Repository } from '../oci/names.ts';

/** One manifest: what it consists of, what refers to it, and, in an answer of its own, where it came from. */

/** Max entries of each list in the answer. */
export const MAX_PARTS = 1_000;
/** Max referrers in the answer. */
export const MAX_REFERRERS = 200;
/** Max events in the answer. */
export const MAX_HISTORY = 100;
/** Max annotations in the answer, and max length of each, in characters. */
export const MAX_SHOWN_ANNOTATIONS = 100;
export const MAX_SHOWN_ANNOTATION = 4_096;

export const Content = Type.Object(
  {
    digest: Digest,
    mediaType: MediaType,
    size: Bytes,
    here: Type.Boolean({ description: 'The layer has its bytes.' }),
  },
  { description: 'Content that a manifest names.' },
);

export const PlatformEntry = Type.Object(
  {
    digest: Digest,
    mediaType: MediaType,
    size: Bytes,
    platform: Type.Optional(Type.String({ maxLength: 400, description: 'os/architecture/variant.' })),
    here: Type.Boolean({ description: 'The layer has this manifest.' }),
  },
  { description: 'An entry of an index.' },
);

export const ReferrerItem = Type.Object(
  {
    digest: Digest,
    artifactType: Type.Optional(MediaType),
    size: Bytes,
    kind: Type.Union(
      [Type.Literal('signature'), Type.Literal('sbom'), Type.Literal('attestation'), Type.Literal('other')],
      { description: 'What it is, by its artifact type.' },
    ),
  },
  { description: 'A manifest that refers to this one.' },
);
export type ReferrerItem = Static<typeof ReferrerItem>;

export const ManifestHistoryItem = Type.Object(
  {
    at: described(Instant, 'When it happened.'),
    type: Type.String({ maxLength: 128, description: 'Type of the event, such as tag.moved.' }),
    account: Type.Optional(described(AccountName, 'Who did it.')),
    tag: Type.Optional(Type.String({ maxLength: 135, description: 'The tag concerned.' })),
    from: Type.Optional(
      Type.Union([Type.Literal('parent'), Type.Literal('client'), Type.Literal('child')], {
        description: 'Where the change came from.',
      }),
    ),
  },
  { description: 'An event of this manifest.' },
);

export const Manifest = Type.Object(
  {
    repository: Repository,
    digest: Digest,
    mediaType: MediaType,
    size: Bytes,
    artifactType: Type.Optional(MediaType),
    subject: Type.Optional(described(Digest, 'Manifest that it refers to.')),
    platforms: Type.Array(PlatformEntry, { maxItems: MAX_PARTS, description: 'Of an index: its entries.' }),
    config: Type.Optional(described(Content, 'Of an image: its configuration.')),
    layers: Type.Array(Content, { maxItems: MAX_PARTS, description: 'Of an image: its layers.' }),
    total: described(Bytes, 'Bytes of the manifest, its configuration and its layers.'),
    referrers: Type.Array(ReferrerItem, { maxItems: MAX_REFERRERS }),
    moreReferrers: Type.Boolean({ description: 'There are more referrers than the answer has.' }),
    annotations: Type.Record(Type.String(), Type.String({ maxLength: MAX_SHOWN_ANNOTATION }), {
      description: 'Its annotations: the first ones, cut if they are long.',
    }),
    leftOut: Type.Array(LeftOutManifest, {
      maxItems: MAX_PARTS,
      description: 'Of an index: entries that the layer leaves out.',
    }),
    origin: Type.Optional(described(TagOrigin, 'If it was named by a tag: where the tag got it from.')),
    image: Type.Optional(
      described(
        ImageFacts,
        'The image as the layer has it: all of its bytes, platforms and what belongs to it.',
      ),
    ),
    omitted: Type.Optional(described(Count, 'Entries and layers beyond those that the answer has.')),
  },
  { description: 'A manifest.' },
);
export type Manifest = Static<typeof Manifest>;

export const ManifestHistory = Type.Object(
  {
    items: Type.Array(ManifestHistoryItem, {
      maxItems: MAX_HISTORY,
      description: 'Newest first, among the last events of the layer.',
    }),
    below: Type.Optional(
      Type.Array(
        Type.Object({
          layer: Type.String({ maxLength: 1_024, description: 'Its path, such as line-1/cell-2.' }),
          at: described(Instant, 'When it got it.'),
        }),
        {
          maxItems: 100,
          description: 'Layers below that have it, as far as their retained events say.',
        },
      ),
    ),
    complete: Type.Boolean({
      description: 'All retained events of manifests and tags were searched, not only the last ones.',
    }),
  },
  { description: 'Retained events of a manifest.' },
);
export type ManifestHistory = Static<typeof ManifestHistory>;

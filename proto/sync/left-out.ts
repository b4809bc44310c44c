import { type Static, Type } from '@sinclair/typebox';
import { described, event } from '../contract/contract.ts';
import { Code, Count, PassId, Reason } from '../contract/scalars.ts';
import { Digest, MediaType, Repository } from '../oci/names.ts';

/**
 * Content that was selected and that the parent does not provide, although the image that it belongs to is here:
 * referrers, and entries of indexes. Each pass asks for it again, and reports what it still lacks.
 */

/** Max entries in a summary, and of one image in an event. */
export const MAX_LISTED_LEFT_OUT = 20;

const What = {
  kind: Type.Union(
    [Type.Literal('referrer'), Type.Literal('referrers'), Type.Literal('child'), Type.Literal('tag')],
    {
      description:
        'referrer: one referrer, such as a signature. referrers: the list of them could not be read. child: an entry of an index. tag: the parent lists the tag and has no manifest for it.',
    },
  ),
  digest: Type.Optional(described(Digest, 'Digest of what is left out, if it is known.')),
  subject: Type.Optional(described(Digest, 'Digest of the manifest whose referrers are left out.')),
  artifactType: Type.Optional(described(MediaType, 'Artifact type of the referrer, if it is known.')),
  code: Code,
  reason: described(Reason, 'The cause, with the remedy.'),
};

/** One thing that an image lacks. */
export const LeftOutItem = Type.Object(What);
export type LeftOutItem = Static<typeof LeftOutItem>;

const Image = {
  repository: Repository,
  tag: Type.Optional(
    Type.String({ maxLength: 135, description: 'A tag of the image that lacks it, or its digest.' }),
  ),
};

/** What the layer lacks of the images that it has. */
export const LeftOutSummary = Type.Object({
  images: described(Count, 'Images that lack something.'),
  of: Type.Optional(described(Count, 'Images that the last complete comparison found at the parent.')),
  referrers: described(Count, 'Referrers, and lists of them, that are left out.'),
  children: described(Count, 'Entries of indexes that are left out.'),
  tags: Type.Optional(described(Count, 'Tags that the parent lists without a manifest.')),
  first: Type.Array(Type.Object({ ...Image, ...What }), {
    maxItems: MAX_LISTED_LEFT_OUT,
    description: 'The first of them.',
  }),
});
export type LeftOutSummary = Static<typeof LeftOutSummary>;

/** An image is here without some of its content, for the first time or with other content missing than before. */
export const imageIncomplete = event(
  'image.incomplete',
  Type.Object({
    pass: PassId,
    ...Image,
    count: described(Count, 'Number of things that it lacks.'),
    leftOut: Type.Array(LeftOutItem, { maxItems: MAX_LISTED_LEFT_OUT, description: 'The first of them.' }),
  }),
);

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

/** `37 of 40 images are complete; left out: 3 referrers (app:t: <reason>, and 2 more)` */
export function leftOutText({ images, of, referrers, children, tags = 0, first }: LeftOutSummary): string {
  const complete = of === undefined ? undefined : Math.max(0, of - images);
  const begin =
    complete === undefined
      ? `${plural(images, 'image')} ${images === 1 ? 'lacks' : 'lack'} content`
      : `${complete} of ${plural(of as number, 'image')} ${of === 1 ? 'is' : 'are'} complete`;
  const parts = [
    ...(referrers > 0 ? [plural(referrers, 'referrer')] : []),
    ...(children > 0 ? [`${plural(children, 'image')} of an index`] : []),
    ...(tags > 0 ? [`${plural(tags, 'tag')} without a manifest`] : []),
  ];
  const [example] = first;
  const name = example && `${example.repository}${example.tag ? separated(example.tag) : ''}`;
  const more = referrers + children + tags - 1;
  const detail = example ? ` (${name}: ${example.reason}${more > 0 ? `; and ${more} more` : ''})` : '';
  return `${begin}; left out: ${parts.join(' and ')}${detail}`;
}

const separated = (tag: string) => (tag.includes(':') ? `@${tag}` : `:${tag}`);

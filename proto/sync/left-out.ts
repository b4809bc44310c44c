import { described, event } from '../contract/contract.ts';
import { plural } from '../contract/quantity-text.ts';
import { Code, Count, PassId, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, MediaType, Repository } from '../oci/names.ts';

/**
 * Content that was selected and that the parent does not provide, although the image that it belongs to is here:
 * referrers, and entries of indexes. Each pass asks for it again, and reports what it still lacks.
 */

/** Max entries in a summary, and of one image in an event. */
export const MAX_LISTED_LEFT_OUT = 20;

/** Max names of repositories in a summary. */
export const MAX_LISTED_REPOSITORIES = 5;

const What = {
  kind: Type.Union(
    [Type.Literal('referrer'), Type.Literal('referrers'), Type.Literal('child'), Type.Literal('tag')],
    {
      description:
        'referrer: one referrer, such as a signature. referrers: the list of them could not be read. child: an entry of an index. tag: the parent lists the tag, and it has no manifest there or no valid name.',
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
    Type.String({
      maxLength: 135,
      description: 'A tag of the image that lacks it, its digest, or the listed name that is no valid tag.',
    }),
  ),
};

/** What the layer lacks of the images that it has. */
export const LeftOutSummary = Type.Object({
  images: described(Count, 'Images that lack something.'),
  of: Type.Optional(described(Count, 'Images that the last complete comparison found at the parent.')),
  referrers: described(Count, 'Referrers, and lists of them, that are left out.'),
  children: described(Count, 'Entries of indexes that are left out.'),
  tags: Type.Optional(
    described(Count, 'Tags that the parent lists, and that have no manifest there or no valid name.'),
  ),
  repositories: Type.Optional(
    Type.Object(
      {
        count: Count,
        first: Type.Array(Type.String({ maxLength: 255 }), { maxItems: MAX_LISTED_REPOSITORIES }),
      },
      {
        description:
          'Repositories that the parent lists, that the selection would cover, and whose names are not valid.',
      },
    ),
  ),
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

/** `37 of 40 images are complete; left out: 3 referrers (app:t: <reason>, and 2 more)` */
export function leftOutText({
  images,
  of,
  referrers,
  children,
  tags = 0,
  repositories,
  first,
}: LeftOutSummary): string {
  const complete = of === undefined ? undefined : Math.max(0, of - images);
  const begin =
    complete === undefined
      ? `${plural(images, 'image')} ${images === 1 ? 'lacks' : 'lack'} content`
      : `${complete} of ${plural(of as number, 'image')} ${of === 1 ? 'is' : 'are'} complete`;
  const parts = [
    ...(referrers > 0 ? [plural(referrers, 'referrer')] : []),
    ...(children > 0 ? [`${plural(children, 'image')} of an index`] : []),
    ...(tags > 0 ? [plural(tags, 'tag')] : []),
    ...(repositories ? [invalidRepositories(repositories)] : []),
  ];
  const [example] = first;
  const name = example && `${example.repository}${example.tag ? separated(example.tag) : ''}`;
  const more = referrers + children + tags - 1;
  const detail = example ? ` (${name}: ${example.reason}${more > 0 ? `; and ${more} more` : ''})` : '';
  return `${begin}; left out: ${parts.join(' and ')}${detail}`;
}

/** `2 repositories ("A", "B": no valid names, rename them at the parent or select others)` */
function invalidRepositories({ count, first }: NonNullable<LeftOutSummary['repositories']>): string {
  const names = first.map((name) => JSON.stringify(name)).join(', ');
  const more = count > first.length ? ` and ${count - first.length} more` : '';
  const number = plural(count, 'repository', 'repositories');
  return `${number} (${names}${more}: not valid as a name: rename at the parent, in lower case, or select without)`;
}

const separated = (tag: string) => (tag.includes(':') ? `@${tag}` : `:${tag}`);

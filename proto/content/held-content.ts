import { described } from '../contract/contract.ts';
import { Bytes, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/** Reasons for which content is held. An open list: another version of Terrace may have more. */
export const heldReasons = {
  tagged: 'Tags name it, or it is a part of an image that they name.',
  referrer: 'It refers to an image that is held: a signature, an SBOM or another artifact.',
  untagged:
    'Manifests that no tag names, with their parts. No rule deletes them: they stay until deleted by digest.',
  unreadable: 'A manifest of its repository can not be read, and may name it.',
  grace: 'Nothing names it, but a client asked for it a short time ago, and may be about to push what does.',
  'open-upload': 'Nothing names it, but a client has an upload open in its repository.',
  delta: 'Deltas that are kept for the layers below, up to `delta.cache`.',
  transfer: 'It came over the link, and waits for the rest of its image.',
  upload: 'Unfinished uploads of clients.',
  download: 'Unfinished transfers from the parent, which continue from there.',
  quarantine: 'Damaged content, set aside for inspection.',
  backup: 'Deleted content whose files a running backup still reads.',
} as const;
export type HeldReason = keyof typeof heldReasons;

/** Content that garbage collection leaves, for one reason. */
export const HeldContent = Type.Object(
  {
    reason: Type.String({
      maxLength: 64,
      description: `Why it is held: ${Object.keys(heldReasons).join(', ')}. An open list.`,
    }),
    count: Type.Integer({ minimum: 0, description: 'Blobs and manifests, or files.' }),
    bytes: described(Bytes, 'Their bytes. What several reasons hold counts for the first of them.'),
    manifests: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Manifests among them, where it matters.' }),
    ),
    from: Type.Optional(described(Instant, 'When the first of it is not held for this reason any more.')),
    until: Type.Optional(described(Instant, 'When all of it is not; absent if no time ends it.')),
  },
  { description: 'What garbage collection leaves, for one reason.' },
);
export type HeldContent = Static<typeof HeldContent>;

/** Max reasons in an answer. */
export const MAX_REASONS = 32;

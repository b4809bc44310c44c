import { Child } from '../accounts/children.ts';
import { described } from '../contract/contract.ts';
import { PassId } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Reference, Repository } from '../oci/names.ts';
import { LinkPause, MAX_PAUSE_MS, MIN_PAUSE_MS } from '../sync/pause.ts';
import { Paused } from './link.ts';

/** What an operator may do: bodies and answers of changes. */

const body = { additionalProperties: false } as const;

export const SyncBody = Type.Object(
  {
    full: Type.Optional(
      Type.Boolean({ description: 'Compare everything again, and retry parked changes. Default: false.' }),
    ),
  },
  { ...body, description: 'Which pass to begin.' },
);
export type SyncBody = Static<typeof SyncBody>;

export const RetryBody = Type.Object(
  {
    repository: Type.Optional(described(Repository, 'Only this repository. Absent: everything.')),
    reference: Type.Optional(described(Reference, 'Only this tag or manifest of it.')),
  },
  { ...body, description: 'What is tried again.' },
);
export type RetryBody = Static<typeof RetryBody>;

export const CollectBody = Type.Object(
  {
    now: Type.Optional(
      Type.Boolean({
        description:
          'Also delete what its grace alone protects. A push that was answered that such content is here then fails with its manifest, and has to be repeated. Default: false.',
      }),
    ),
  },
  { ...body, description: 'What is deleted.' },
);
export type CollectBody = Static<typeof CollectBody>;

export const PassAccepted = Type.Object(
  { pass: PassId },
  { description: 'The pass that begins now, or after the running one.' },
);
export type PassAccepted = Static<typeof PassAccepted>;

export const PauseBody = Type.Object(
  {
    reason: LinkPause.properties.reason,
    forMs: Type.Optional(
      Type.Integer({
        minimum: MIN_PAUSE_MS,
        maximum: MAX_PAUSE_MS,
        description: 'How long, in ms. Absent: until the link is resumed.',
      }),
    ),
  },
  { ...body, description: 'Pauses the link.' },
);
export type PauseBody = Static<typeof PauseBody>;

export const LinkPaused = Type.Object(
  { paused: Type.Optional(Paused) },
  { description: '`paused` is absent while the link may be used.' },
);
export type LinkPaused = Static<typeof LinkPaused>;

export const Empty = Type.Object({}, { ...body, description: 'No fields.' });

export const Started = Type.Object(
  {
    started: Type.Boolean({ description: 'false: it was running already.' }),
  },
  { description: 'It runs now; an event reports its end.' },
);
export type Started = Static<typeof Started>;

export const Deactivated = Type.Object(
  { previous: Type.Optional(described(Child, 'The instance that was active; absent if none was.')) },
  { description: 'The next instance of the child that asks becomes active.' },
);
export type Deactivated = Static<typeof Deactivated>;

import { Space } from '../content/maintenance.ts';
import { described } from '../contract/contract.ts';
import { Bytes, Count, Instant, Party, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Mode } from '../oci/mode.ts';
import { LinkStatus, Savings, ServiceStatus } from '../status/status.ts';
import { SyncFigure } from '../sync/sync-figure.ts';

export const Severity = Type.Union([Type.Literal('error'), Type.Literal('warning')], {
  description: 'error: clients, content or synchronization are affected. warning: they may be soon.',
});
export type Severity = Static<typeof Severity>;

/** Something that needs a person, derived from the status of the layer. */
export const Problem = Type.Object(
  {
    code: Type.String({
      pattern: '^[a-z0-9-]+$',
      maxLength: 64,
      description: 'What it is, for programs. An open list.',
    }),
    severity: Severity,
    what: described(Reason, 'What is wrong, in one sentence.'),
    remedy: described(Reason, 'What to do about it.'),
    since: Type.Optional(described(Instant, 'Since when, if that is known.')),
    subject: Type.Optional(
      Type.String({ maxLength: 512, description: 'What it concerns: a layer below, a webhook, a service.' }),
    ),
  },
  { description: 'Something that needs a person.' },
);
export type Problem = Static<typeof Problem>;

/** Max problems in an answer. */
export const MAX_PROBLEMS = 100;

export const ParentName = Type.Object(
  {
    url: Type.String({ maxLength: 2_048, description: 'Address of the parent.' }),
    username: Type.Optional(
      Type.String({ maxLength: 256, description: 'Name with which the layer logs in there.' }),
    ),
  },
  { description: 'The parent of the layer.' },
);

export const Held = Type.Object(
  {
    repositories: described(Count, 'Repositories in the layer.'),
    tags: described(Count, 'Tags in the layer.'),
    blobs: described(Count, 'Committed blobs.'),
    bytes: described(Bytes, 'Their bytes.'),
  },
  { description: 'Content that the layer holds.' },
);
export type Held = Static<typeof Held>;

export const KeptDeltas = Type.Object(
  {
    count: described(Count, 'Deltas that are kept for the layers below.'),
    bytes: described(Bytes, 'Their bytes.'),
    limit: Type.Optional(described(Bytes, 'Max bytes of them: `delta.cache` of the configuration.')),
    refused: described(Count, 'Pairs of content that get none.'),
  },
  { description: 'Deltas in storage.' },
);
export type KeptDeltas = Static<typeof KeptDeltas>;

export const Layer = Type.Object(
  {
    name: Type.String({ maxLength: 128, description: 'Name of the layer.' }),
    version: Type.String({ maxLength: 64, description: 'Version of Terrace that answers.' }),
    mode: Type.Optional(described(Mode, 'Whether clients may push. Absent until the layer is configured.')),
    url: Type.Optional(Type.String({ maxLength: 512, description: 'Address for container clients.' })),
    parent: Type.Optional(ParentName),
    started: described(Instant, 'When this gateway process was started.'),
    now: described(Instant, 'Time of the layer when it answered.'),
    link: Type.Optional(described(LinkStatus, 'The link to the parent. Absent without a parent.')),
    linkKnown: Type.Optional(
      Type.Boolean({ description: 'false: no syncer answers, so `link` is the last known state.' }),
    ),
    sync: Type.Optional(
      described(SyncFigure, 'The layer compared with its parent. Absent without a parent.'),
    ),
    held: Type.Optional(described(Held, 'Absent while storage does not answer.')),
    space: Type.Optional(described(Space, 'Free space of the data volume.')),
    savings: Type.Optional(
      described(
        Savings,
        'What deltas and frames saved on the link, since they first did. Absent if nothing.',
      ),
    ),
    deltas: Type.Optional(described(KeptDeltas, 'Absent if there are none.')),
    tokens: Type.Optional(described(Count, 'Accounts of the layer; 0: it is open.')),
    children: Type.Object(
      {
        count: described(Count, 'Layers directly below that have reported.'),
        connected: described(Count, 'Those of them that are not cut off.'),
      },
      { description: 'Layers directly below.' },
    ),
    problems: Type.Array(Problem, { maxItems: MAX_PROBLEMS, description: 'Errors first.' }),
    services: Type.Array(ServiceStatus, {
      maxItems: 256,
      description: 'The processes of the layer, by instance.',
    }),
    coordinator: Type.Optional(described(Party, 'Syncer that makes the passes.')),
    silent: Type.Array(Type.String({ maxLength: 64 }), {
      maxItems: 16,
      description: 'Services that do not answer.',
    }),
  },
  { description: 'The layer at one moment.' },
);
export type Layer = Static<typeof Layer>;

import { described } from '../contract/contract.ts';
import { Bytes, Count, Instant, Party } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { LinkStatus } from '../status/status.ts';
import { PassResult } from '../sync/passes.ts';
import { LinkPause } from '../sync/pause.ts';
import { ParentName } from './layer.ts';
import { listOf } from './lists.ts';

/** The link to the parent, and the passes over it. */

const MinuteOfDay = Type.Integer({ minimum: 0, maximum: 1_440, description: 'Minutes after 00:00 UTC.' });

export const BandwidthLimit = Type.Object(
  {
    from: Type.Optional(described(MinuteOfDay, 'Beginning, in minutes after 00:00 UTC; absent: all day.')),
    to: Type.Optional(described(MinuteOfDay, 'End; before `from`: on the next day.')),
    limit: Type.Number({ minimum: 0, description: 'Bytes a second.' }),
    inForce: Type.Boolean({ description: 'It applies now.' }),
  },
  { description: 'A limit of bandwidth; the first one that matches applies.' },
);

export const Paused = described(LinkPause, 'An operator paused the link.');
export type Paused = Static<typeof Paused>;

export const Link = Type.Object(
  {
    parent: Type.Optional(ParentName),
    status: Type.Optional(described(LinkStatus, 'As the coordinator last reported it.')),
    known: Type.Boolean({ description: 'A syncer answers, so `status` is current.' }),
    coordinator: Type.Optional(described(Party, 'Syncer that makes the passes.')),
    schedule: Type.Optional(
      Type.String({ maxLength: 256, description: 'When passes begin, as in cron (UTC).' }),
    ),
    windowMs: Type.Optional(Type.Integer({ description: 'Length of the window after each begin, in ms.' })),
    bandwidth: Type.Array(BandwidthLimit, { maxItems: 100, description: 'Empty: no limit.' }),
    paused: Type.Optional(Paused),
  },
  { description: 'The link to the parent, and when and how it may be used.' },
);
export type Link = Static<typeof Link>;

export const Pass = Type.Object(
  {
    sequence: described(Count, 'Sequence of its event in the history.'),
    finished: described(Instant, 'When it ended.'),
    cause: Type.Optional(Type.String({ maxLength: 512, description: 'Why it began, if that is known.' })),
    coordinator: Type.Optional(described(Party, 'Syncer that ran it.')),
    result: described(PassResult, 'What it did.'),
  },
  { description: 'A pass that has ended.' },
);
export type Pass = Static<typeof Pass>;

export const Passes = listOf(Pass, 'Passes of which events are retained, newest first.');
export type Passes = Static<typeof Passes>;

export const ThroughputPoint = Type.Object({
  at: described(Instant, 'End of the interval.'),
  down: described(Bytes, 'Bytes from the parent.'),
  up: described(Bytes, 'Bytes to the parent.'),
});
export const Throughput = Type.Object(
  {
    interval: Type.Integer({ minimum: 1, description: 'Length of an interval, in ms.' }),
    points: Type.Array(ThroughputPoint, { maxItems: 1_000, description: 'Oldest first.' }),
  },
  {
    description:
      'Bytes that crossed the link, as far as this gateway process saw them since it started; the last hour at most.',
  },
);
export type Throughput = Static<typeof Throughput>;

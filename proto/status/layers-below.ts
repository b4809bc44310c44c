import { type Static, Type } from '@sinclair/typebox';
import { ChildName, InstanceId, StartId } from '../accounts/children.ts';
import { state } from '../contract/contract.ts';
import { Envelope, line, MAX_SOURCE } from '../contract/envelope.ts';
import { Mode } from '../oci/mode.ts';
import { Bytes, Count, Instant } from '../oci/names.ts';
import { LinkStatus } from './status.ts';

/**
 * What a layer tells the one above: its events and those of all layers below it, in the order of its own stream, and
 * how each of these layers stands. The parent stores the events in its own stream and answers how far it has them, so
 * what it said it has is not sent again, and what it lost is.
 */

/** A place in a child's stream: `id` is that of the event there, `made` tells the stream from one made anew later. */
export const Place = Type.Object({
  made: line(64),
  sequence: Type.Integer({ minimum: 1 }),
  id: Type.String({ maxLength: 300 }),
});
export type Place = Static<typeof Place>;

export const MAX_EVENTS = 500;

/** As many layers one below the other are told of. */
export const MAX_DEPTH = 16;
/** So many layers are told of in one report: see `layer-reports.ts`. */
export const MAX_LAYERS = 256;

const report = {
  path: Type.Array(ChildName, { maxItems: MAX_DEPTH }),
  name: line(128),
  mode: Mode,
  /** By the layer's own clock. */
  at: Instant,
  held: Type.Optional(Type.Object({ repositories: Count, tags: Count, blobs: Count, bytes: Bytes })),
  /** Layers below this one that are left out of this report, as there are too many or they are too far down. */
  leftOut: Type.Optional(Count),
};

/** How a layer stands. `path`: the children that lead to it, from whoever tells it; empty for that layer itself. */
export const LayerReport = Type.Object({ ...report, link: Type.Optional(LinkStatus) });
export type LayerReport = Static<typeof LayerReport>;

/** As an earlier Terrace tells it: sentences of any length are taken, and cut off. */
const ToldLayer = Type.Object({
  ...report,
  link: Type.Optional(
    Type.Object({ ...LinkStatus.properties, detail: Type.Optional(Type.String({ maxLength: 16_384 })) }),
  ),
});

/** The body of a report, as JSON. */
export const Report = Type.Object({
  /** Of the child's data volume: a report of another one than the active one is refused. */
  instance: Type.Optional(InstanceId),
  /** Of the layer: a copy of its data volume is another one. */
  start: Type.Optional(StartId),
  /** The child's stream. */
  made: Place.properties.made,
  /** How far the parent has it, as it last said; absent where the child only asks that. */
  after: Type.Optional(Type.Integer({ minimum: 0 })),
  /** The place that the parent named is not in the stream, or not any more: these come from its first event on. */
  anew: Type.Optional(Type.Boolean()),
  events: Type.Array(Type.Object({ sequence: Type.Integer({ minimum: 1 }), event: Envelope }), {
    maxItems: MAX_EVENTS,
  }),
  layers: Type.Optional(Type.Array(ToldLayer, { maxItems: MAX_LAYERS })),
});
export type Report = Static<typeof Report>;

/** The answer: 200, or 409 where the parent is elsewhere than `after` says, and has stored none of these. */
export const ReportAck = Type.Object({ place: Type.Optional(Place) });
export type ReportAck = Static<typeof ReportAck>;

/** Where a child reports, by POST; needs `gateway/<child>/message/write`. */
export const reportPath = (child: string): string => `/v2/_terrace/children/${child}/events`;
/** What a report may have, unpacked, in bytes. */
export const REPORT_LIMIT = 2 * 1024 * 1024;
/**
 * And so many values of JSON: the layers have 25,000 of them at most, and so have, of what Terrace itself tells, the
 * events. A report of more is sent again in parts.
 */
export const MAX_REPORT_VALUES = 100_000;

/** So many sources are told apart for each child: those that were heard last. Each start of a process is one. */
export const MAX_MARKS = 1_000;

/**
 * How far a child's events are in the stream here. Key: the child. `stored`: up to this sequence of the stream here,
 * all is reckoned with; what is there beyond it, whoever stored it did not live to write down. `tail`: the id of the
 * event there; where the stream has another one, or none, a power cut took what was told.
 * `marks`: the last event of each source, by the number that its id ends with.
 */
export const ReportProgress = Type.Composite([
  Place,
  Type.Object({
    stored: Type.Integer({ minimum: 0 }),
    tail: Type.String({ maxLength: 300 }),
    marks: Type.Record(Type.String({ pattern: `^[^]{1,${MAX_SOURCE}}$` }), Type.Integer(), {
      maxProperties: MAX_MARKS,
      additionalProperties: false,
    }),
    /** It reported with an account of its own: what is known of it goes with that. */
    account: Type.Optional(Type.Boolean()),
  }),
]);
export type ReportProgress = Static<typeof ReportProgress>;
export const reportProgress = state('heard', ReportProgress);

/** What a child last told of itself and of those below it. Key: the child. */
export const Layers = Type.Object({
  seen: Instant,
  layers: Type.Array(LayerReport, { maxItems: MAX_LAYERS }),
  account: ReportProgress.properties.account,
});
export type Layers = Static<typeof Layers>;
export const layersBelow = state('layers', Layers);

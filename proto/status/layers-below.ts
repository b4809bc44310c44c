import { ChildName, InstanceId, StartId } from '../accounts/children.ts';
import { state } from '../contract/contract.ts';
import { Envelope, MAX_SOURCE_LENGTH, singleLineText } from '../contract/envelope.ts';
import { Bytes, Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Mode } from '../oci/mode.ts';
import { SyncFigure } from '../sync/sync-figure.ts';
import { LinkStatus } from './status.ts';

/**
 * Reports of a layer to its parent: its events and those of all layers below it, in the order of its own stream, and
 * the status of each of these layers. The parent stores the events in its own stream and acknowledges how far it has
 * them, so acknowledged events are not sent again, and events that the parent lost are.
 */

/** A position in a child's stream: `id` of the event there; `made` distinguishes it from a stream created later. */
export const StreamPosition = Type.Object({
  made: singleLineText(64),
  sequence: Type.Integer({ minimum: 1 }),
  id: Type.String({ maxLength: 300 }),
});
export type StreamPosition = Static<typeof StreamPosition>;

/** Max events per report. */
export const MAX_EVENTS = 500;

/** Max depth of reported layers below the reporting one. */
export const MAX_DEPTH = 16;
/** Max layers per report: see `layer-reports.ts`. */
export const MAX_LAYERS = 256;

const reportFields = {
  path: Type.Array(ChildName, { maxItems: MAX_DEPTH }),
  name: singleLineText(128),
  mode: Mode,
  /** By the layer's own clock. */
  at: Instant,
  held: Type.Optional(Type.Object({ repositories: Count, tags: Count, blobs: Count, bytes: Bytes })),
  /** How the layer stands against its parent; absent for one without, and for one of an earlier version. */
  sync: Type.Optional(SyncFigure),
  /** Events that its parent did not have yet when it reported; absent before its parent has answered once. */
  waiting: Type.Optional(Count),
  /** Number of layers below this one that the report omits, as they are too many or too deep. */
  leftOut: Type.Optional(Count),
};

/** Status of a layer. `path`: the children that lead to it from the reporting layer; empty for that layer itself. */
export const LayerReport = Type.Object({ ...reportFields, link: Type.Optional(LinkStatus) });
export type LayerReport = Static<typeof LayerReport>;

/** A layer as received: earlier versions send long sentences, which are accepted and truncated. */
const ReceivedLayer = Type.Object({
  ...reportFields,
  link: Type.Optional(
    Type.Object({ ...LinkStatus.properties, detail: Type.Optional(Type.String({ maxLength: 16_384 })) }),
  ),
});

/** The body of a report, as JSON. */
export const LayersReport = Type.Object({
  /** Of the child's data volume: only the report of the active instance is accepted. */
  instance: Type.Optional(InstanceId),
  /** Of the layer: a copy of its data volume has another one. */
  start: Type.Optional(StartId),
  /** The child's stream. */
  made: StreamPosition.properties.made,
  /** Sequence that the parent last acknowledged. Absent if the child only asks for that. */
  after: Type.Optional(Type.Integer({ minimum: 0 })),
  /** The position that the parent named is not, or no longer, in the stream: these events begin at its first one. */
  restart: Type.Optional(Type.Boolean()),
  events: Type.Array(Type.Object({ sequence: Type.Integer({ minimum: 1 }), event: Envelope }), {
    maxItems: MAX_EVENTS,
  }),
  layers: Type.Optional(Type.Array(ReceivedLayer, { maxItems: MAX_LAYERS })),
});
export type LayersReport = Static<typeof LayersReport>;

/** The answer: 200, or 409 if the parent is at another position than `after`, and has stored none of these events. */
export const ReportAck = Type.Object({ place: Type.Optional(StreamPosition) });
export type ReportAck = Static<typeof ReportAck>;

/** HTTP path where a child reports, by POST; needs `gateway/<child>/message/write`. */
export const reportPath = (child: string): string => `/v2/_terrace/children/${child}/events`;
/** Max size of a report, unpacked, in bytes. */
export const MAX_REPORT_BYTES = 2 * 1024 * 1024;
/**
 * Max JSON values of a report. The layers have 25,000 at most, and so have the events of Terrace itself. A report with
 * more is sent again in parts.
 */
export const MAX_REPORT_VALUES = 100_000;

/** Max event sources that are tracked per child: the last ones received. Each start of a process is one. */
export const MAX_MARKS = 1_000;
/** Max numbers of a source that are remembered as missing. A process sends 32 events at a time. */
export const MAX_MISSING = 64;

/**
 * How far a child's events are in the stream here. Key: the child. `stored`: up to this sequence of the stream here,
 * all events are accounted for; those beyond it were stored by a process that ended before it recorded them. `tail`:
 * the id of the event there; if the stream has another one, or none, a power cut lost events that were reported.
 * `marks`: the last event of each source, by the number at the end of its id. `missing`: the numbers shortly before it
 * whose events were not reported, or not yet.
 */
export const ReportProgress = Type.Object({
  ...StreamPosition.properties,
  stored: Type.Integer({ minimum: 0 }),
  tail: Type.String({ maxLength: 300 }),
  marks: Type.Record(Type.String({ pattern: `^[^]{1,${MAX_SOURCE_LENGTH}}$` }), Type.Integer(), {
    maxProperties: MAX_MARKS,
    additionalProperties: false,
  }),
  missing: Type.Optional(
    Type.Record(
      Type.String({ pattern: `^[^]{1,${MAX_SOURCE_LENGTH}}$` }),
      Type.Array(Type.Integer(), { maxItems: MAX_MISSING }),
      { maxProperties: MAX_MARKS, additionalProperties: false },
    ),
  ),
  /** It reported with an account of its own: this record is deleted with that account. */
  account: Type.Optional(Type.Boolean()),
});
export type ReportProgress = Static<typeof ReportProgress>;
export const reportProgress = state('heard', ReportProgress);

/** The last report of a child on itself and the layers below it. Key: the child. */
export const ChildReport = Type.Object({
  seen: Instant,
  layers: Type.Array(LayerReport, { maxItems: MAX_LAYERS }),
  account: ReportProgress.properties.account,
});
export type ChildReport = Static<typeof ChildReport>;
export const layersBelow = state('layers', ChildReport);

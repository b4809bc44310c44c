import { ChildName } from '../accounts/children.ts';
import { Gap } from '../bus/history.ts';
import { described } from '../contract/contract.ts';
import { MAX_LAYER_LENGTH } from '../contract/envelope.ts';
import { Count } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { MAX_LIMIT } from './lists.ts';

/** The history of the layer and of the layers below. */

export const EventItem = Type.Object(
  {
    sequence: Type.Integer({ minimum: 1, description: 'Its place in the history of this layer.' }),
    id: Type.String({ maxLength: 256, description: 'Unique per source.' }),
    type: Type.String({ maxLength: 128, description: 'Type without `terrace.`, such as `tag.moved`.' }),
    time: Type.String({ maxLength: 64, description: 'RFC 3339, UTC, milliseconds.' }),
    layer: Type.Optional(
      Type.String({ maxLength: MAX_LAYER_LENGTH, description: 'Layer in which it happened.' }),
    ),
    child: Type.Optional(described(ChildName, 'Child that reported it; absent for this layer.')),
    data: Type.Unknown({ description: 'Fields of the event: docs/reference/events.md.' }),
  },
  { description: 'An event.' },
);
export type EventItem = Static<typeof EventItem>;

export const StreamGap = Type.Object(
  { gap: described(Gap, 'Sequences that are missing.') },
  { description: 'Events are missing here.' },
);

export const Events = Type.Object(
  {
    items: Type.Array(Type.Union([EventItem, StreamGap]), {
      maxItems: MAX_LIMIT,
      description: 'In order; a gap stands in place of missing events.',
    }),
    next: Type.Optional(
      Type.Integer({
        minimum: 0,
        description:
          'Sequence for `after` of the next request. Also given if nothing matched: the events up to it were searched.',
      }),
    ),
    more: Type.Boolean({ description: 'There are further events already.' }),
  },
  { description: 'Retained events.' },
);
export type Events = Static<typeof Events>;

/** Names of server-sent events that are not events of the history. */
export const STREAM_GAP = 'gap';
export const STREAM_END = 'end';

/** Data of the server-sent event `gap`: this viewer did not get these events. */
export const ViewerGap = Type.Object(
  {
    from: Type.Integer({ minimum: 0, description: 'First sequence that is missing.' }),
    to: Type.Optional(Type.Integer({ minimum: 0, description: 'The last one, inclusive, if it is known.' })),
    reason: Type.Union([Gap.properties.reason, Type.Literal('slow'), Type.Literal('rate')], {
      description:
        'slow: the viewer did not read fast enough. rate: there were more in a second than the viewer asked for. The others: the events are not in the history any more.',
    }),
    count: Type.Optional(described(Count, 'If `rate`: how many events that fit the filter are left out.')),
  },
  { description: 'Events that a stream does not have.' },
);
export type ViewerGap = Static<typeof ViewerGap>;

/** Data of the server-sent event `end`, after which the gateway closes the stream. */
export const StreamEnd = Type.Object(
  {
    code: Type.Union([Type.Literal('unauthorized'), Type.Literal('stopping')], {
      description: 'unauthorized: log in again. stopping: the gateway stops; connect again.',
    }),
    message: Type.String({ maxLength: 400 }),
  },
  { description: 'Why the stream ends.' },
);
export type StreamEnd = Static<typeof StreamEnd>;

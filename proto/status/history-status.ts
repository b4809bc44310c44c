import { described, event, state } from '../contract/contract.ts';
import { singleLineText } from '../contract/envelope.ts';
import { Code, Count, Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/** Events of this layer's history that the parent refuses. */

/** An event that the parent refused permanently. It is in the history of this layer, and in none above. */
export const RefusedEvent = Type.Object({
  sequence: Type.Integer({ minimum: 1, description: 'Its sequence in the stream of this layer.' }),
  id: singleLineText(256, 'Its id.'),
  type: singleLineText(128, 'Its type.'),
  code: Code,
  reason: Reason,
  at: described(Instant, 'When it was refused, in ms since 1970-01-01 UTC.'),
});
export type RefusedEvent = Static<typeof RefusedEvent>;

/** Written by the coordinator if the parent refused events, and deleted a day after the last refusal. */
export const HistoryStatus = Type.Object({ since: Instant, count: Count, last: RefusedEvent });
export type HistoryStatus = Static<typeof HistoryStatus>;
export const historyStatus = state('link', HistoryStatus);
export const HISTORY_KEY = 'history';

/** The parent permanently refused events of this layer's history. */
export const historyRefused = event(
  'history.refused',
  Type.Object({
    count: described(Count, 'Number of events in a row.'),
    last: described(RefusedEvent, 'The last of them.'),
  }),
);

import { type Static, Type } from '@sinclair/typebox';
import { event, state } from '../contract/contract.ts';
import { line } from '../contract/envelope.ts';
import { Code, Count, Instant, Reason } from '../oci/names.ts';

/** Events of this layer's history that the parent refuses. */

/** An event that the parent refused permanently. It is in the history of this layer, and in none above. */
export const RefusedEvent = Type.Object({
  sequence: Type.Integer({ minimum: 1 }),
  id: line(256),
  type: line(128),
  code: Code,
  reason: Reason,
  at: Instant,
});
export type RefusedEvent = Static<typeof RefusedEvent>;

/** Written by the coordinator if the parent refused events, and deleted a day after the last refusal. */
export const HistoryStatus = Type.Object({ since: Instant, count: Count, last: RefusedEvent });
export type HistoryStatus = Static<typeof HistoryStatus>;
export const historyStatus = state('link', HistoryStatus);
export const HISTORY_KEY = 'history';

/** The parent permanently refused `count` events in a row. */
export const historyRefused = event('history.refused', Type.Object({ count: Count, last: RefusedEvent }));

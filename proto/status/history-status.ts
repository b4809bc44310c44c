import { type Static, Type } from '@sinclair/typebox';
import { event, state } from '../contract/contract.ts';
import { line } from '../contract/envelope.ts';
import { Code, Count, Instant, Reason } from '../oci/names.ts';

/** How far the parent takes the history of this layer. */

/** An event that the parent refused for good; it is in the history of this layer, and in none above. */
export const RefusedEvent = Type.Object({
  sequence: Type.Integer({ minimum: 1 }),
  id: line(256),
  type: line(128),
  code: Code,
  reason: Reason,
  at: Instant,
});
export type RefusedEvent = Static<typeof RefusedEvent>;

/** Written by the coordinator where the parent refused events, and gone a day after the last one. */
export const HistoryStatus = Type.Object({ since: Instant, count: Count, last: RefusedEvent });
export type HistoryStatus = Static<typeof HistoryStatus>;
export const historyStatus = state('link', HistoryStatus);
export const HISTORY_KEY = 'history';

/** The parent refused so many events for good, one after another. */
export const historyRefused = event('history.refused', Type.Object({ count: Count, last: RefusedEvent }));

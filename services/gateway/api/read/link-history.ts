import { type Pass, Passes } from '#proto/api/link.ts';
import { DEFAULT_LIMIT } from '#proto/api/lists.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Type } from '#proto/contract/schema.ts';
import { matches } from '#proto/contract/schema-check.ts';
import { recentEvents } from '#proto/overview/recent-events.ts';
import { passFinished, passStarted } from '#proto/sync/passes.ts';
import { type Operation, operation } from '../operation/operation.ts';
import { pageQuery } from '../operation/query.ts';

const FINISHED = `terrace.${passFinished.type}`;
const STARTED = `terrace.${passStarted.type}`;

/** The passes that have ended, from the history. */
export function passOperation(bus: HistoryReader): Operation {
  return operation({
    method: 'GET',
    path: '/passes',
    needs: 'operate/read',
    summary: 'The last passes, newest first.',
    query: Type.Object(pageQuery),
    answers: { 200: Passes },
    handler: async ({ query: { after, limit = DEFAULT_LIMIT } }): Promise<Passes> => {
      // A pass has up to three events; the start of the last one in the answer is read, too.
      const { events, complete } = await recentEvents(bus, {
        subject: 'events.pass.>',
        limit: 3 * (limit + 1),
        before: positionOf(after),
        fits: ({ type }) => type === FINISHED || type === STARTED,
      });
      const starts = new Map<string, { cause: string; coordinator: string }>();
      for (const { event } of events) {
        if (event.type === STARTED && matches(passStarted.data, event.data)) {
          const { pass, cause, coordinator } = event.data as {
            pass: string;
            cause: string;
            coordinator: string;
          };
          starts.set(pass, { cause, coordinator });
        }
      }
      const ended = events.filter(
        ({ event }) => event.type === FINISHED && matches(passFinished.data, event.data),
      );
      const items = ended.slice(0, limit).map(({ sequence, time, event }): Pass => {
        const result = event.data as Pass['result'];
        return { sequence, finished: time, ...starts.get(result.pass), result };
      });
      const last = items.at(-1);
      const more = ended.length > limit || !complete;
      return { items, ...(more && last && { next: String(last.sequence) }) };
    },
  });
}

/** @throws Fault `malformed` */
function positionOf(after: string | undefined): number | undefined {
  if (after === undefined) return undefined;
  if (/^\d{1,15}$/.test(after)) return Number(after);
  throw new Fault('malformed', 'query parameter after is not valid: write next of the previous answer');
}

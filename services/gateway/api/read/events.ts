import { Events } from '#proto/api/events.ts';
import { DEFAULT_LIMIT } from '#proto/api/lists.ts';
import { childOfSubject } from '#proto/bus/relay.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import { readEvent } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Static, Type } from '#proto/contract/schema.ts';
import { recentEvents } from '#proto/overview/recent-events.ts';
import { type Operation, operation } from '../operation/operation.ts';
import { pageQuery } from '../operation/query.ts';
import { type EventFilter, eventFilter, filterQuery, instantOf } from '../stream/filter.ts';
import { itemOf } from '../stream/items.ts';

/** Max events that one request searches. */
const MAX_SEARCHED = 5_000;
const PAGE = 500;
/** An answer ends with the event that exceeds this, packed, in bytes: a relayed one may have 128 KiB. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

type Answer = Static<typeof Events>;

const EventsQuery = Type.Object({
  ...filterQuery,
  limit: pageQuery.limit,
  newest: Type.Optional(
    Type.Boolean({
      description: 'The last events that match instead of the first ones. Not with `after` or `since`.',
    }),
  ),
});

/** Retained events in order, from a sequence or a time on, or the last ones. */
export function eventsOperation(bus: HistoryReader): Operation {
  const { archive } = bus;
  return operation({
    method: 'GET',
    path: '/events',
    needs: 'operate/read',
    summary: 'Retained events of the layer and of the layers below, in order.',
    query: EventsQuery,
    answers: { 200: Events },
    handler: async ({ query }): Promise<Answer> => {
      const { after, since, limit = DEFAULT_LIMIT } = query;
      const fits = eventFilter(query);
      if (query.newest) return newestEvents(bus, query, fits, limit);
      const items: Answer['items'] = [];
      const bounds = await archive.bounds();
      let next = after === undefined ? (since === undefined ? bounds.first : undefined) : after + 1;
      if (next !== undefined && next > bounds.last + 1) {
        items.push({ gap: { from: next, reason: 'lost' } });
        next = bounds.first;
      } else if (next !== undefined && next < bounds.first && after !== undefined) {
        items.push({ gap: { from: next, to: bounds.first - 1, reason: 'expired' } });
        next = bounds.first;
      }
      let time = since === undefined ? undefined : instantOf(since);
      let bytes = 0;
      const isFull = () => items.length >= limit || bytes >= MAX_ANSWER_BYTES;
      for (let searched = 0; searched < MAX_SEARCHED && !isFull(); ) {
        const from = next !== undefined ? { sequence: Math.max(1, next) } : { time: time as number };
        const page = await archive.read({ from, subject: undefined, limit: PAGE, waitMs: 0 });
        if (page.length === 0) return { items, next: Math.max(bounds.last, (next ?? 1) - 1), more: false };
        for (const { sequence, subject, data } of page) {
          if (next !== undefined && sequence > next) {
            items.push({ gap: { from: next, to: sequence - 1, reason: 'trimmed' } });
            next = sequence;
            if (isFull()) break;
          }
          next = sequence + 1;
          time = undefined;
          searched += 1;
          const event = readEvent(data);
          const child = childOfSubject(subject);
          if (!event) items.push({ gap: { from: sequence, to: sequence, reason: 'unreadable' } });
          else if (fits({ type: event.type, layer: event.layer, child })) {
            items.push(itemOf(sequence, event, child));
            bytes += data.byteLength;
          }
          if (isFull()) break;
        }
      }
      const end = (next ?? 1) - 1;
      return { items, next: end, more: end < bounds.last };
    },
  });
}

/** @throws Fault `malformed` */
async function newestEvents(
  bus: HistoryReader,
  { after, since }: { after?: number | undefined; since?: string | undefined },
  fits: EventFilter,
  limit: number,
): Promise<Answer> {
  if (after !== undefined || since !== undefined) {
    throw new Fault(
      'malformed',
      'query parameter newest is given with after or since: send only one of them',
    );
  }
  const { last } = await bus.archive.bounds();
  const { events } = await recentEvents(bus, {
    limit,
    before: last + 1,
    fits: ({ type, layer }, child) => fits({ type, layer, child }),
  });
  const items = events.map(({ sequence, event, child }) => itemOf(sequence, event, child));
  return { items: items.reverse(), next: last, more: false };
}

import { Type } from '@sinclair/typebox';
import type { Log } from '#proto/bus/bus.ts';
import type { Past } from '#proto/bus/history.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import { type DirectMethod, method } from './method.ts';

/** Max size of the events in an answer, in bytes. An answer has at most 128 KiB, including all around the payload. */
const MAX_BYTES = 100_000;
const DEFAULT_COUNT = 50;
/** Max events that are read from the end of the history if `since` is not given. */
const MAX_SCANNED = 2_000;
/** Max time to read events, in ms. The answer then has the events read so far. */
const READ_MS = 15_000;

const Payload = Type.Object(
  {
    count: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 500, description: 'a whole number from 1 to 500' }),
    ),
    types: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        minItems: 1,
        maxItems: 20,
        description: 'a list of types, such as pass.finished, or transfer for all of transfers',
      }),
    ),
    since: Type.Optional(
      Type.Union(
        [Type.Integer({ minimum: 0 }), Type.String({ pattern: '^(?:\\d+[smhd]|\\d{4}-\\d\\d-\\d\\d.*)$' })],
        {
          description: 'how long ago (2h, 30m, 1d), a time (2026-05-01T12:00Z), or the number of an event',
        },
      ),
    ),
  },
  { additionalProperties: false },
);

type ShownEvent = { sequence: number } & Record<string, unknown>;

/**
 * Events of this layer and of the layers below. With `since`: the first `count` events from there, and `next` if more
 * follow. Without it: the last `count` events. Fewer if they exceed `MAX_BYTES`.
 */
export function eventsMethod(bus: HistoryReader, log: Log): DirectMethod {
  return method(Payload, log, async ({ count = DEFAULT_COUNT, types, since }, signal) => {
    const isForward = since !== undefined;
    const from = isForward ? startOf(since, Date.now()) : await findRecentStart(bus);
    const either = AbortSignal.any([signal, AbortSignal.timeout(READ_MS)]);
    const events: ShownEvent[] = [];
    let bytes = 0;
    let next: number | undefined;
    for await (const past of bus.history({ since: from, signal: either })) {
      if ('gap' in past || !isWanted(past, types)) continue;
      const shown = shownOf(past);
      const size = Buffer.byteLength(JSON.stringify(shown));
      if (size > MAX_BYTES) continue;
      if (isForward && (events.length === count || bytes + size > MAX_BYTES)) {
        next = past.sequence;
        break;
      }
      events.push(shown);
      bytes += size;
      while (events.length > count || bytes > MAX_BYTES) {
        bytes -= Buffer.byteLength(JSON.stringify(events.shift()));
      }
    }
    signal.throwIfAborted();
    return { status: 200, payload: { events, ...(next !== undefined && { next }) } };
  });
}

async function findRecentStart(bus: HistoryReader): Promise<number> {
  const { first, last } = await bus.archive.bounds();
  return Math.max(first, last - MAX_SCANNED);
}

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function startOf(since: number | string, now: number): number | Date {
  if (typeof since === 'number') return since;
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(since) ?? [];
  if (count !== undefined) return new Date(now - Number(count) * (UNITS[unit] as number));
  const time = Date.parse(since);
  return new Date(Number.isNaN(time) ? now : time);
}

type Event = Extract<Past, { event: unknown }>;

const isWanted = ({ event: { type } }: Event, types: string[] | undefined) =>
  !types || types.some((wanted) => type === `terrace.${wanted}` || type.startsWith(`terrace.${wanted}.`));

const shownOf = ({ sequence, event: { type, time, layer, data }, child }: Event): ShownEvent => ({
  sequence,
  type: type.replace(/^terrace\./, ''),
  time,
  ...(layer !== undefined && { layer }),
  ...(child !== undefined && { child }),
  data,
});

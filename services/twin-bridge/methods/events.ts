import type { Log } from '#proto/bus/bus.ts';
import type { Past } from '#proto/bus/history.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Type } from '#proto/contract/schema.ts';
import { START, startOf } from '#proto/contract/time-text.ts';
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
        [
          Type.Integer({ minimum: 0 }),
          Type.String({ pattern: '^(?:\\d+[smhd]?|\\d{4}-\\d\\d-\\d\\d.*)$', maxLength: 40 }),
        ],
        { description: START },
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
    const from = isForward ? sinceOf(since, Date.now()) : await findRecentStart(bus);
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

/** @throws Fault `malformed` */
function sinceOf(since: number | string, now: number): number | Date {
  const start = typeof since === 'number' ? since : startOf(since, now);
  if (start !== undefined) return start;
  throw new Fault('malformed', `since is not valid: write ${START}`);
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

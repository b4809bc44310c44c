import { Type } from '@sinclair/typebox';
import type { Bus, Log } from '#proto/bus/bus.ts';
import type { Past } from '#proto/bus/history.ts';
import { type Method, method } from './method.ts';

/** A direct method answers 128 KiB at most, with all that is around the payload. */
const MAX_BYTES = 100_000;
const DEFAULT_COUNT = 50;
/** Where nothing is said of since when: of so many events before now, the last ones. */
const LOOKED_AT = 2_000;
/** What was read by then is answered, in ms. */
const READ_MS = 15_000;

const Wanted = Type.Object(
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

type Told = { sequence: number } & Record<string, unknown>;

/**
 * What has happened here and below. With `since`, the first `count` from there on, and `next` where there is more;
 * else the last `count`. Fewer where they would be too long.
 */
export function eventsMethod(bus: Pick<Bus, 'history' | 'archive'>, log: Log): Method {
  return method(Wanted, log, async ({ count = DEFAULT_COUNT, types, since }, signal) => {
    const ahead = since !== undefined;
    const from = ahead ? startOf(since, Date.now()) : await lately(bus);
    const until = AbortSignal.any([signal, AbortSignal.timeout(READ_MS)]);
    const found: Told[] = [];
    let bytes = 0;
    let next: number | undefined;
    for await (const past of bus.history({ since: from, signal: until })) {
      if ('gap' in past || !isWanted(past, types)) continue;
      const told = toldOf(past);
      const size = Buffer.byteLength(JSON.stringify(told));
      if (size > MAX_BYTES) continue;
      if (ahead && (found.length === count || bytes + size > MAX_BYTES)) {
        next = past.sequence;
        break;
      }
      found.push(told);
      bytes += size;
      while (found.length > count || bytes > MAX_BYTES) {
        bytes -= Buffer.byteLength(JSON.stringify(found.shift()));
      }
    }
    signal.throwIfAborted();
    return { status: 200, payload: { events: found, ...(next !== undefined && { next }) } };
  });
}

async function lately(bus: Pick<Bus, 'archive'>): Promise<number> {
  const { first, last } = await bus.archive.kept();
  return Math.max(first, last - LOOKED_AT);
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

const toldOf = ({ sequence, event: { type, time, layer, data }, child }: Event): Told => ({
  sequence,
  type: type.replace(/^terrace\./, ''),
  time,
  ...(layer !== undefined && { layer }),
  ...(child !== undefined && { child }),
  data,
});

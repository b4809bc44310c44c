import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { StreamEnd } from '#proto/api/events.ts';
import { Type } from '#proto/contract/schema.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';
import { EventHub } from './event-hub.ts';
import { eventFilter, filterQuery, instantOf } from './filter.ts';
import { type ViewerStart, viewerStream } from './viewer.ts';
import { ViewerSlots } from './viewer-slots.ts';

/** Bytes that are made ahead of a viewer. */
const AHEAD_BYTES = 64 * 1024;
/** How long a stream whose right ended may take to say so, in ms. */
const LAST_WORDS_MS = 2_000;

const StreamQuery = Type.Object({
  ...filterQuery,
  rate: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 10_000,
      description:
        'Max events a second. Of more, the newest are sent, and a `gap` says how many are left out. Default: all.',
    }),
  ),
});

const STOPPING: StreamEnd = { code: 'stopping', message: 'the gateway stops: connect again' };
const UNAUTHORIZED: StreamEnd = { code: 'unauthorized', message: 'the login has ended: log in again' };

/**
 * Events as they happen, as server-sent events. A stream ends when the right of its caller ends, when the process
 * stops, and when its reader takes nothing for long.
 */
export function streamOperation(app: FastifyInstance, gateway: Gateway): Operation {
  const { bus, log, access, times } = gateway;
  const hub = new EventHub(bus, log);
  const slots = new ViewerSlots();
  let isStopping = false;
  app.addHook('preClose', async () => {
    isStopping = true;
    hub.wakeAll();
  });

  return operation({
    method: 'GET',
    path: '/events/stream',
    needs: 'operate/read',
    summary:
      'Events as they happen, as server-sent events: `id` is the sequence, `data` an `EventItem`. `Last-Event-ID` resumes. The event `gap` says what is missing, and `end` why the stream ends.',
    query: StreamQuery,
    answers: { 200: Type.String({ description: 'Server-sent events.' }) },
    mediaType: 'text/event-stream',
    handler: async ({ request, reply, query }) => {
      const fits = eventFilter(query);
      const start = startOf(request, query);
      const slot = slots.take(request.caller?.identity?.name ?? '');
      const watching = hub.watch();
      const end = new AbortController();
      let ended: StreamEnd | undefined;
      const ending = () => (isStopping ? STOPPING : ended);
      const { rate } = query;
      const text = viewerStream(hub, bus, { start, fits, rate, ending, signal: end.signal });
      const stream = Readable.from(text, { objectMode: false, highWaterMark: AHEAD_BYTES });
      const stillAllowed = access.stillAllowed(request, reply);
      const isStuck = stuckFor(request, times.idleMs);
      const check = async () => {
        if (isStuck()) return drop();
        if (ended || (await stillAllowed())) return;
        ended = UNAUTHORIZED;
        hub.wakeAll();
        setTimeout(drop, LAST_WORDS_MS).unref();
      };
      const timer = setInterval(() => void check(), times.recheckMs).unref();
      const release = () => {
        clearInterval(timer);
        end.abort();
        watching[Symbol.dispose]();
        slot[Symbol.dispose]();
      };
      // A stream is closed only after the part that it makes: what that waits for ends first.
      const drop = () => {
        release();
        stream.destroy();
      };
      reply.raw.once('close', release);
      stream.once('close', release);
      // A stream that fails has no status any more: its reader connects again.
      stream.on('error', (err) => log.debug({ err }, 'a stream of events failed'));
      reply.header('x-accel-buffering', 'no').type('text/event-stream');
      return reply.send(stream);
    },
  });
}

/** `Last-Event-ID` comes first: a browser sends it when it connects again, with the same query as before. */
function startOf(
  { headers }: FastifyRequest,
  { after, since }: { after?: number | undefined; since?: string | undefined },
): ViewerStart {
  const last = headers['last-event-id'];
  if (typeof last === 'string' && /^\d{1,15}$/.test(last)) return { after: Number(last) };
  if (after !== undefined) return { after };
  return since === undefined ? undefined : { since: instantOf(since) };
}

/** Whether the connection has taken none of its pending bytes for so long. */
function stuckFor({ raw: { socket } }: FastifyRequest, maxMs: number): () => boolean {
  let pending = 0;
  let since = performance.now();
  return () => {
    const now = performance.now();
    if (socket.writableLength === 0 || socket.writableLength !== pending) since = now;
    pending = socket.writableLength;
    return now - since > maxMs;
  };
}

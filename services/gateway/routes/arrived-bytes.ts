import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { parseRepositoryName } from '#proto/oci/names.ts';
import { mayAlso } from '../auth/request-caller.ts';
import { type Waiters, waitOf } from '../children/long-poll.ts';
import { type ArrivedBytes, ArrivingReader, type LocateArriving } from '../content/arriving-content.ts';
import { length, sendParts, UNBUFFERED } from '../content/send-blob.ts';
import { digestParameter, parameter } from '../http/parameters.ts';
import { type ByteRange, parseRange } from '../http/ranges.ts';
import type { Gateway, RouteHandler } from './resource.ts';

/**
 * Max waiting requests of an account: each connection of a child's syncers waits for bytes, and a syncer may have 64.
 */
const MAX_WAITING_EACH = 256;
/** Interval between checks of a chunk log for more bytes, in ms. */
const LOG_MS = 100;

export type ArrivedBytesOptions = {
  /** Of the resource, without the digest. */
  path: string;
  /** For messages: `blob`. */
  what: string;
  locate: LocateArriving;
  waiters: Waiters;
};

/**
 * Answers a request for a range of content that is in transfer to this layer with the bytes of it that are here: 206,
 * or 204 if none has arrived in the time that the request may wait.
 */
export function sendArrivedBytes(
  { volume, times, log, cache, access, longPolls }: Gateway,
  { path, what, locate, waiters }: ArrivedBytesOptions,
): RouteHandler {
  const reader = new ArrivingReader(locate, volume);
  return async (request, reply) => {
    const digest = digestParameter(request);
    const repository = parseRepositoryName(parameter(request, 'repository') ?? '');
    const end = performance.now() + waitOf(request) * 1_000;
    // Same fault as for content without a transfer: a caller that may not pull it must not learn of it.
    const mustBeAllowed = () => {
      if (mayAlso(request, repository, 'content/read')) return;
      throw new Fault('blob-unknown', `${what} ${digest} is not in transfer to repository ${repository}`);
    };
    mustBeAllowed();
    reply.header('cache-control', 'no-store');
    const requested = (size: number) => rangeOf(request, size, what);
    using slot = longPolls.slotFor(request, `${path}/`, MAX_WAITING_EACH);
    let here: ArrivedBytes | undefined;
    for (let isRetry = false; ; isRetry = true) {
      here = await reader.open(repository, digest, requested, isRetry);
      // Without a slot, the answer is that of a timeout: the client repeats its request after its own backoff.
      if (here || waiters.isOver(request, end) || !slot.take()) break;
      await sleep(LOG_MS);
    }
    await using opened = here;
    await access.recheck(request, reply);
    mustBeAllowed();
    if (!opened) return reply.code(204).send();
    const { size, range, file } = opened;
    reply.hijack();
    reply.raw.writeHead(206, {
      ...(reply.getHeaders() as Record<string, string>),
      ...UNBUFFERED,
      'content-type': 'application/octet-stream',
      'content-length': String(length(range)),
      'content-range': `bytes ${range.first}-${range.last}/${size}`,
    });
    const callerAllowed = access.stillAllowed(request, reply);
    const stillAllowed = async () => (await callerAllowed()) && mayAlso(request, repository, 'content/read');
    const sending = sendParts(reply, file, [range], { ...times, stillAllowed });
    await sending.catch((err) => {
      log.warn({ err, digest }, `cannot read a ${what} in transfer; storage checks it if it is complete`);
      void cache
        .check(digest)
        .catch((error) => log.warn({ err: error, digest }, `the ${what} was not checked`));
    });
    return reply;
  };
}

/** @throws Fault `range-invalid` unless exactly one range is requested, within the content */
function rangeOf({ headers }: FastifyRequest, size: number, what: string): ByteRange {
  const ranges = parseRange(headers.range, size);
  const [range] = ranges === 'all' ? [{ first: 0, last: size - 1 }] : ranges;
  if (range && range.last >= range.first && (ranges === 'all' || ranges.length === 1)) return range;
  throw new Fault('range-invalid', `the ${what} has ${size} bytes: request one range of them`);
}

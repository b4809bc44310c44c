import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { accountsChanged } from '#proto/accounts/accounts.ts';
import { ARRIVING_PATH, type Arriving, listArriving } from '#proto/content/arriving.ts';
import { Fault } from '#proto/contract/fault.ts';
import { parseRepositoryName } from '#proto/oci/names.ts';
import { transferStarted } from '#proto/sync/transfers.ts';
import { mayAlso, sees } from '../auth/request-caller.ts';
import { Waiters, waitOf } from '../children/long-poll.ts';
import { type ArrivedBytes, ArrivingReader } from '../content/arriving-content.ts';
import { length, sendParts, UNBUFFERED } from '../content/send-blob.ts';
import { digestParameter, parameter } from '../http/parameters.ts';
import { type ByteRange, parseRange } from '../http/ranges.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

/**
 * Max waiting requests of an account: each connection of a child's syncers waits for bytes, and a syncer may have 64.
 */
const MAX_WAITING_EACH = 256;
/** Interval between checks of a chunk log for more bytes, in ms. */
const LOG_MS = 100;

/** Content that is arriving from the parent, for the layers below: which blobs, and the bytes that have arrived. */
export function registerArrivingRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, volume, times, log, access } = gateway;
  const reader = new ArrivingReader(bus, volume, times.patienceMs);
  const waiters = new Waiters(app);
  bus.listen(transferStarted, ({ data }) => {
    if (data.direction === 'down') waiters.wakeAll();
  });
  bus.onInvalidation(accountsChanged, waiters.wakeAll);

  const list: RouteHandler = async (request, reply) => {
    const end = performance.now() + waitOf(request) * 1_000;
    const after = parameter(request, 'after');
    using slot = gateway.longPolls.slotFor(request, ARRIVING_PATH);
    const check = async () => {
      const listed = await bus.call(listArriving, {}, { patience: times.patienceMs });
      await access.recheck(request, reply);
      const blobs = listed.blobs.filter(({ repository }) => sees(request, repository, 'content/read'));
      const cursor = createHash('sha256').update(JSON.stringify(blobs)).digest('hex').slice(0, 16);
      const answer: Arriving = { cursor, blobs };
      return { answer, isReady: cursor !== after };
    };
    const answer = await waiters.pollUntil(request, { end, slot }, check);
    reply.header('cache-control', 'no-store').type('application/json');
    return reply.send(JSON.stringify(answer));
  };

  const get: RouteHandler = async (request, reply) => {
    const digest = digestParameter(request);
    const repository = parseRepositoryName(parameter(request, 'repository') ?? '');
    const end = performance.now() + waitOf(request) * 1_000;
    // Same fault as for a blob without a transfer: a caller that may not pull the blob must not learn of it.
    const mustBeAllowed = () => {
      if (mayAlso(request, repository, 'content/read')) return;
      throw new Fault('blob-unknown', `blob ${digest} is not in transfer to repository ${repository}`);
    };
    mustBeAllowed();
    reply.header('cache-control', 'no-store');
    const requested = (size: number) => rangeOf(request, size);
    using slot = gateway.longPolls.slotFor(request, `${ARRIVING_PATH}/`, MAX_WAITING_EACH);
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
    await sending.catch((err) => log.warn({ err, digest }, 'cannot read a blob in transfer'));
    return reply;
  };

  registerResource(app, gateway, ARRIVING_PATH, {
    GET: {
      needs: 'catalog',
      handler: list,
      answer:
        '200: blobs in transfer from the parent, as soon as the list differs from the one of the cursor `after`, or after `wait` seconds',
    },
  });
  registerResource(app, gateway, `${ARRIVING_PATH}/:digest`, {
    GET: {
      needs: 'login',
      handler: get,
      answer:
        '206: the bytes of the blob that are here, from the start of `Range`; 204: none after `wait` seconds',
    },
  });
}

/** @throws Fault `range-invalid` unless exactly one range is requested, within the content */
function rangeOf({ headers }: FastifyRequest, size: number): ByteRange {
  const ranges = parseRange(headers.range, size);
  const [range] = ranges === 'all' ? [{ first: 0, last: size - 1 }] : ranges;
  if (range && range.last >= range.first && (ranges === 'all' || ranges.length === 1)) return range;
  throw new Fault('range-invalid', `the blob has ${size} bytes: request one range of them`);
}

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { accountsChanged } from '#proto/accounts/accounts.ts';
import { ARRIVING_PATH, type Arriving, listArriving } from '#proto/content/arriving.ts';
import { Fault } from '#proto/contract/fault.ts';
import { repositoryName } from '#proto/oci/names.ts';
import { transferStarted } from '#proto/sync/transfers.ts';
import { mayAlso, sees } from '../auth/access.ts';
import { tooManyLongPolls } from '../children/long-poll.ts';
import { ArrivingReader, type Here } from '../content/arriving-content.ts';
import { length, sendParts } from '../content/send-blob.ts';
import { digestOf, parameter } from '../http/parameters.ts';
import { type ByteRange, parseRange } from '../http/ranges.ts';
import { orAfter, waitOf } from './changes.ts';
import { type Gateway, type Handler, resource } from './resource.ts';

/** What is listed is looked at again after so long, should nothing that was said have been heard, in ms. */
const POLL_MS = 20_000;
/** Each connection of a child's syncers waits for bytes: one syncer may have 64. */
const MAX_WAITING_EACH = 256;
/** How often a log is looked at for more, in ms. */
const LOG_MS = 100;

/** What is on its way from the parent, for the layers below: which blobs, and what of them is here already. */
export function arrivingRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, volume, times, log, access } = gateway;
  const reader = new ArrivingReader(bus, volume, times.patienceMs);
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const one of waiting) one();
  };
  bus.listen(transferStarted, ({ data }) => {
    if (data.direction === 'down') wake();
  });
  bus.onInvalidation(accountsChanged, wake);
  app.addHook('preClose', async () => wake());
  const isOver = ({ raw }: FastifyRequest, end: number) =>
    Date.now() >= end || raw.socket.destroyed || !app.server.listening;

  const list: Handler = async (request, reply) => {
    const end = Date.now() + waitOf(request) * 1_000;
    const after = parameter(request, 'after');
    using place = gateway.longPolls.of(request, ARRIVING_PATH);
    for (;;) {
      const { promise: changed, resolve } = Promise.withResolvers<void>();
      waiting.add(resolve);
      try {
        const found = await bus.call(listArriving, {}, { patience: times.patienceMs });
        await access.recheck(request, reply);
        const blobs = found.blobs.filter(({ repository }) => sees(request, repository, 'content/read'));
        const cursor = createHash('sha256').update(JSON.stringify(blobs)).digest('hex').slice(0, 16);
        if (cursor !== after || isOver(request, end)) {
          const answer: Arriving = { cursor, blobs };
          reply.header('cache-control', 'no-store').type('application/json');
          return reply.send(JSON.stringify(answer));
        }
        if (!place.take()) throw tooManyLongPolls();
        await orAfter(changed, Math.min(end - Date.now(), POLL_MS), request);
      } finally {
        waiting.delete(resolve);
      }
    }
  };

  const get: Handler = async (request, reply) => {
    const digest = digestOf(request);
    const repository = repositoryName(parameter(request, 'repository') ?? '');
    const end = Date.now() + waitOf(request) * 1_000;
    // As if it were not on its way: who may not pull it is told nothing of it.
    const mustBeAllowed = () => {
      if (mayAlso(request, repository, 'content/read')) return;
      throw new Fault('blob-unknown', `blob ${digest} is not on its way to repository ${repository}`);
    };
    mustBeAllowed();
    reply.header('cache-control', 'no-store');
    const asked = (size: number) => rangeOf(request, size);
    using place = gateway.longPolls.of(request, `${ARRIVING_PATH}/`, MAX_WAITING_EACH);
    let here: Here | undefined;
    for (let again = false; ; again = true) {
      here = await reader.open(repository, digest, asked, again);
      // Who finds no place is told as if its time were over: it asks again after a rest of its own.
      if (here || isOver(request, end) || !place.take()) break;
      await sleep(LOG_MS);
    }
    await using found = here;
    await access.recheck(request, reply);
    mustBeAllowed();
    if (!found) return reply.code(204).send();
    const { size, range, file } = found;
    reply.hijack();
    reply.raw.writeHead(206, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'application/octet-stream',
      'content-length': String(length(range)),
      'content-range': `bytes ${range.first}-${range.last}/${size}`,
    });
    const letIn = access.stillAllowed(request, reply);
    const stillAllowed = async () => (await letIn()) && mayAlso(request, repository, 'content/read');
    const sending = sendParts(reply, file, [range], { ...times, stillAllowed });
    await sending.catch((err) => log.warn({ err, digest }, 'what is still coming could not be read'));
    return reply;
  };

  resource(app, gateway, ARRIVING_PATH, { GET: ['catalog', list] });
  resource(app, gateway, `${ARRIVING_PATH}/:digest`, { GET: ['login', get] });
}

/** @throws Fault `range-invalid` unless one range is asked for that the content has */
function rangeOf({ headers }: FastifyRequest, size: number): ByteRange {
  const ranges = parseRange(headers.range, size);
  const [range] = ranges === 'whole' ? [{ first: 0, last: size - 1 }] : ranges;
  if (range && range.last >= range.first && (ranges === 'whole' || ranges.length === 1)) return range;
  throw new Fault('range-invalid', `the blob has ${size} bytes: ask for one range of them`);
}

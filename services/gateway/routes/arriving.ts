import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { accountsChanged } from '#proto/accounts/accounts.ts';
import { ARRIVING_PATH, type Arriving, listArriving, locateArriving } from '#proto/content/arriving.ts';
import { transferStarted } from '#proto/sync/transfers.ts';
import { sees } from '../auth/request-caller.ts';
import { Waiters, waitOf } from '../children/long-poll.ts';
import { arrivingDeltas } from '../deltas/arriving-deltas.ts';
import { parameter } from '../http/parameters.ts';
import { sendArrivedBytes } from './arrived-bytes.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

/**
 * Content that is arriving from the parent, for the layers below: which blobs and deltas, and the bytes of blobs that
 * have arrived.
 */
export function registerArrivingRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, times, access } = gateway;
  const patience = { patience: times.patienceMs };
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
      const listed = await bus.call(listArriving, {}, patience);
      await access.recheck(request, reply);
      const blobs = listed.blobs.filter(({ repository }) => sees(request, repository, 'content/read'));
      const deltas = await arrivingDeltas(gateway, request, listed.deltas ?? []);
      // A list without deltas has the cursor that it has in a version that does not know them.
      const content = deltas.length > 0 ? { blobs, deltas } : blobs;
      const cursor = createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
      const answer: Arriving = { cursor, blobs, ...(deltas.length > 0 && { deltas }) };
      return { answer, isReady: cursor !== after };
    };
    const answer = await waiters.pollUntil(request, { end, slot }, check);
    reply.header('cache-control', 'no-store').type('application/json');
    return reply.send(JSON.stringify(answer));
  };

  registerResource(app, gateway, ARRIVING_PATH, {
    GET: {
      needs: 'catalog',
      handler: list,
      answer:
        '200: blobs and deltas in transfer from the parent, as soon as the list differs from the one of the cursor `after`, or after `wait` seconds',
    },
  });
  registerResource(app, gateway, `${ARRIVING_PATH}/:digest`, {
    GET: {
      needs: 'login',
      handler: sendArrivedBytes(gateway, {
        path: ARRIVING_PATH,
        what: 'blob',
        locate: (repository, digest) => bus.call(locateArriving, { repository, digest }, patience),
        waiters,
      }),
      answer:
        '206: the bytes of the blob that are here, from the start of `Range`; 204: none after `wait` seconds',
    },
  });
}

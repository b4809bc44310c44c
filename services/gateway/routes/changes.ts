import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { accountsChanged } from '#proto/accounts/accounts.ts';
import { listArriving } from '#proto/content/arriving.ts';
import {
  manifestCommitted,
  manifestDeleted,
  storageStarted,
  tagDeleted,
  tagMoved,
} from '#proto/content/content-events.ts';
import { CHANGES_PATH, type Changes, listChanges } from '#proto/sync/changes.ts';
import { transferStarted } from '#proto/sync/transfers.ts';
import { sees } from '../auth/request-caller.ts';
import { recordPresence } from '../children/child-presence.ts';
import { Waiters, waitOf } from '../children/long-poll.ts';
import { deltaFormats } from '../deltas/delta-jobs.ts';
import { parameter } from '../http/parameters.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

const PAGE = 1_000;

/**
 * Change feed for the layers below: the changes after the cursor `after` that the caller may see. Without any, the
 * answer waits for the next one, for at most `wait` seconds.
 */
export function registerChangeRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, access } = gateway;
  const patience = { patience: gateway.times.patienceMs };
  const waiters = new Waiters(app);
  const { wakeAll } = waiters;
  const events = [tagMoved, tagDeleted, manifestCommitted, manifestDeleted, storageStarted, accountsChanged];
  for (const event of events) bus.onInvalidation(event as typeof storageStarted, wakeAll);
  bus.listen(transferStarted, ({ data }) => {
    if (data.direction === 'down') wakeAll();
  });
  bus.onGap(wakeAll);

  const changes: RouteHandler = async (request, reply) => {
    const end = performance.now() + waitOf(request) * 1_000;
    const rights = rightsOf(request);
    const wantsArriving = parameter(request, 'arriving') === '1';
    using slot = gateway.longPolls.slotFor(request, CHANGES_PATH);
    const known = await recordPresence(request, gateway);
    let after = afterOf(parameter(request, 'after'), rights);

    const check = async () => {
      const query = { ...(after !== undefined && { after }), limit: PAGE };
      const page = await bus.call(listChanges, query, patience);
      const arriving = wantsArriving ? await bus.call(listArriving, {}, patience) : { blobs: [] };
      // Rights that were checked before the wait do not count.
      await access.recheck(request, reply);
      const visible = page.changes.filter(({ repository }) => sees(request, repository));
      // Whether content is arriving that the caller may pull.
      const isArriving = [...arriving.blobs, ...(arriving.deltas ?? [])].some(({ repository }) =>
        sees(request, repository, 'content/read'),
      );
      const deltas = deltaFormats(gateway.configuration());
      const isReady = page.lost || after === undefined || visible.length > 0 || isArriving;
      after = page.cursor;
      const answer: Changes = {
        ...page,
        ...(wantsArriving && { arriving: isArriving }),
        ...(deltas.length > 0 && { deltas }),
        ...(known && { known }),
        changes: visible,
        cursor: `${page.cursor}.${rights}`,
      };
      return { answer, isReady, more: page.more };
    };
    const answer = await waiters.pollUntil(request, { end, slot }, check);
    reply.header('cache-control', 'no-store').type('application/json');
    return reply.send(JSON.stringify(answer));
  };
  registerResource(app, gateway, CHANGES_PATH, {
    GET: {
      needs: 'catalog',
      handler: changes,
      answer:
        '200: the changes after the cursor `after` that the caller may see, at once or after `wait` seconds',
    },
  });
}

/**
 * Hash of the caller's rights. They decide which changes a cursor covers: an account that may see more now has missed
 * some.
 */
function rightsOf({ caller }: FastifyRequest): string {
  const rules = caller?.identity?.rules.text ?? '';
  return createHash('sha256').update(rules).digest('hex').slice(0, 8);
}

/**
 * @returns the cursor for storage; one unknown to storage if it is of another account, or of other rights of the
 * account
 */
function afterOf(text: string | undefined, rights: string): string | undefined {
  if (text === undefined) return undefined;
  const dot = text.lastIndexOf('.');
  return /^[0-9a-f.]{1,55}$/.test(text) && text.slice(dot + 1) === rights ? text.slice(0, dot) : 'lost';
}

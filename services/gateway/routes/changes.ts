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
import { Fault } from '#proto/contract/fault.ts';
import { CHANGES_PATH, type Changes, listChanges, MAX_WAIT_S } from '#proto/sync/changes.ts';
import { transferStarted } from '#proto/sync/transfers.ts';
import { sees } from '../auth/access.ts';
import { tooManyLongPolls } from '../children/long-poll.ts';
import { parameter } from '../http/parameters.ts';
import { noteChild } from './presence.ts';
import { type Gateway, type Handler, resource } from './resource.ts';

const PAGE = 1_000;
/** Storage is asked again after so long, should nothing that was said have been heard, in ms. */
const POLL_MS = 20_000;

/**
 * What changed here, for the layers below: what the caller may see of it, behind `after`. Where that is nothing, the
 * answer comes as soon as there is something, or after `wait` seconds.
 */
export function changeRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, access } = gateway;
  const patience = { patience: gateway.times.patienceMs };
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const one of waiting) one();
  };
  const events = [tagMoved, tagDeleted, manifestCommitted, manifestDeleted, storageStarted, accountsChanged];
  for (const event of events) bus.onInvalidation(event as typeof storageStarted, wake);
  bus.listen(transferStarted, ({ data }) => {
    if (data.direction === 'down') wake();
  });
  bus.onGap(wake);
  app.addHook('preClose', async () => wake());

  const changes: Handler = async (request, reply) => {
    const seconds = waitOf(request);
    const end = Date.now() + seconds * 1_000;
    const print = printOf(request);
    const asks = parameter(request, 'arriving') === '1';
    using place = gateway.longPolls.of(request, CHANGES_PATH);
    const known = await noteChild(request, gateway);
    let after = afterOf(parameter(request, 'after'), print);
    for (;;) {
      const { promise: changed, resolve } = Promise.withResolvers<void>();
      waiting.add(resolve);
      try {
        const query = { ...(after !== undefined && { after }), limit: PAGE };
        const page = await bus.call(listChanges, query, patience);
        const { blobs } = asks ? await bus.call(listArriving, {}, patience) : { blobs: [] };
        // Nothing is told by rights that were looked at before the wait.
        await access.recheck(request, reply);
        const seen = page.changes.filter(({ repository }) => sees(request, repository));
        // Is something on its way here that whoever asks may pull?
        const comes = blobs.some(({ repository }) => sees(request, repository, 'content/read'));
        const left = end - Date.now();
        const gone = request.raw.socket.destroyed || !app.server.listening;
        if (
          page.lost ||
          after === undefined ||
          seen.length > 0 ||
          comes ||
          (left <= 0 && !page.more) ||
          gone
        ) {
          const answer: Changes = {
            ...page,
            ...(asks && { arriving: comes }),
            ...(known && { known }),
            changes: seen,
            cursor: `${page.cursor}.${print}`,
          };
          reply.header('cache-control', 'no-store').type('application/json');
          return reply.send(JSON.stringify(answer));
        }
        after = page.cursor;
        if (page.more) continue;
        if (!place.take()) throw tooManyLongPolls();
        await orAfter(changed, Math.min(left, POLL_MS), request);
      } finally {
        waiting.delete(resolve);
      }
    }
  };
  resource(app, gateway, CHANGES_PATH, { GET: ['catalog', changes] });
}

/** What may be seen decides what was told: an account that may see more now has missed something. */
function printOf({ caller }: FastifyRequest): string {
  const rules = caller?.identity?.rules.text ?? '';
  return createHash('sha256').update(rules).digest('hex').slice(0, 8);
}

/** @returns a cursor that no storage knows for one of another account, or of what the account could see before */
function afterOf(text: string | undefined, print: string): string | undefined {
  if (text === undefined) return undefined;
  const dot = text.lastIndexOf('.');
  return /^[0-9a-f.]{1,55}$/.test(text) && text.slice(dot + 1) === print ? text.slice(0, dot) : 'lost';
}

/** @throws Fault `malformed` */
export function waitOf(request: FastifyRequest): number {
  const wait = parameter(request, 'wait') ?? '0';
  if (/^\d{1,3}$/.test(wait) && Number(wait) <= MAX_WAIT_S) return Number(wait);
  throw new Fault(
    'malformed',
    `wait is ${JSON.stringify(wait.slice(0, 40))}: write seconds, ${MAX_WAIT_S} at most`,
  );
}

export async function orAfter(changed: Promise<void>, ms: number, { raw }: FastifyRequest): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  raw.socket.once('close', resolve);
  try {
    await Promise.race([changed, over]);
  } finally {
    clearTimeout(timer);
    raw.socket.off('close', resolve);
  }
}

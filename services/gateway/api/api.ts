import type { FastifyInstance } from 'fastify';
import type { Gateway } from '../routes/resource.ts';
import { actionOperations } from './change/actions.ts';
import { sessionOperations } from './change/session.ts';
import { openApiOperation } from './openapi.ts';
import { type Operation, registerOperations } from './operation/operation.ts';
import { accountsOperation } from './read/accounts.ts';
import { configurationOperation } from './read/configuration.ts';
import { eventsOperation } from './read/events.ts';
import { FinishedBytes } from './read/finished-bytes.ts';
import { layerOperations } from './read/layer.ts';
import { passOperation } from './read/link-history.ts';
import { manifestOperation } from './read/manifest.ts';
import { manifestHistoryOperation } from './read/manifest-history.ts';
import { garbageOperation, parkedOperation } from './read/pending.ts';
import { repositoryOperations } from './read/repositories.ts';
import { StatusCache } from './read/status-cache.ts';
import { Traffic } from './read/traffic.ts';
import { transferOperations } from './read/transfers.ts';
import { streamOperation } from './stream/stream-operation.ts';

/**
 * The operator's API, `/api/v1`: what `proto/api/` declares, for people, programs and the page.
 *
 * An `Operation` (`operation/`) is one method of a path with its right, its query, its body and the schemas of its
 * answers; `openapi.ts` makes the document of the API of the same objects. `read/` shows the layer, from one status for
 * all who watch, `stream/` sends events as they happen, and `change/` has logins and what an operator may do.
 *
 * Nothing is walked whole for a request: lists are paged, and searches stop after a bound.
 */
export function apiOperations(app: FastifyInstance, gateway: Gateway): Operation[] {
  const { bus } = gateway;
  const status = new StatusCache(bus, gateway.configuration);
  const traffic = new Traffic(bus);
  const operations = [
    ...layerOperations(status, Date.now()),
    passOperation(bus),
    ...transferOperations(gateway, status, traffic, new FinishedBytes(bus)),
    ...repositoryOperations(gateway, status),
    manifestOperation(gateway),
    manifestHistoryOperation(gateway),
    parkedOperation(gateway),
    garbageOperation(gateway),
    eventsOperation(bus),
    streamOperation(app, gateway),
    accountsOperation(gateway),
    configurationOperation(gateway),
    ...sessionOperations(gateway),
    ...actionOperations(gateway),
  ];
  return [...operations, openApiOperation(operations)];
}

export function registerApiRoutes(app: FastifyInstance, gateway: Gateway): void {
  registerOperations(app, gateway, apiOperations(app, gateway));
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { TokenName } from '#proto/accounts/accounts.ts';
import { isGatewayAction } from '#proto/accounts/scopes.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import { clip } from '#proto/contract/clip.ts';
import type { AuditEntry } from '#proto/status/audit.ts';
import type { RequestCaller } from '../auth/request-caller.ts';
import { networkOf } from '../auth/throttle.ts';
import { parameter } from '../http/parameters.ts';
import { makeAuditQueue } from './audit-queue.ts';
import { Refusals } from './refusals.ts';

/**
 * The audit: who changed what in this layer, and who was refused.
 *
 * A hook on every response decides whether the request is worth an entry. Writes are recorded at once. Refusals go
 * through `Refusals`, which records the first of a kind and counts the others. Entries are logged, batched, and sent to
 * storage by the queue of `makeAuditQueue`, which retries while storage is unavailable. When the process ends, the
 * counts and the last batch are sent.
 */

declare module 'fastify' {
  interface FastifyRequest {
    /** What the request changes, if its body says so and not its path. */
    changes: { repository: string; digest: string } | null;
  }
}

const NAME = new RegExp(TokenName.pattern as string);

/** Fields of a request in the log. */
type Fields = Pick<
  AuditEntry,
  'action' | 'method' | 'repository' | 'child' | 'reference' | 'digest' | 'address' | 'status'
> & { token: string | undefined };

export type AuditTrail = AsyncDisposable;

/** Max entries per call to storage, and max time that an entry waits for others, in ms. */
const MAX_BATCH = 100;
const BATCH_MS = 50;
/** Time for the last entries to reach storage when the process ends, in ms. */
const LAST_ENTRIES_MS = 1_000;

/**
 * Records one entry for each write, done or refused, and for each other refusal of a caller with credentials; refusals
 * of the same kind are gathered. A client without credentials that gets a challenge has not been refused. A session
 * that neither begins nor ends is no write. The steps of an upload belong to the write that ends it. Nothing that
 * could be a password is recorded: no header, no query, no name that no token can have. Entries go to the log and,
 * through storage, to the audit of the layer.
 */
export function auditRequests(
  app: FastifyInstance,
  { bus, log, gatherMs }: { bus: BusCaller; log: Log; gatherMs: number },
): AuditTrail {
  const refusals = new Refusals<Fields>();
  // Separate, so that unauthenticated clients that try many things leave room for the refusals of accounts.
  const unauthenticated = new Refusals<Fields>();
  const queue = makeAuditQueue(bus, log);
  let batch: AuditEntry[] = [];
  let sending: NodeJS.Timeout | undefined;
  const send = () => {
    clearTimeout(sending);
    sending = undefined;
    if (batch.length > 0) queue.add(batch);
    batch = [];
  };
  const record = (fields: Fields, outcome: 'written' | 'refused', gathered: Partial<AuditEntry> = {}) => {
    log.info({ audit: true, ...fields, ...gathered }, outcome);
    const { token: account, ...rest } = fields;
    const entry = { at: Date.now(), outcome, ...rest, ...gathered, ...(account && { account }) };
    batch.push(defined(entry));
    if (batch.length >= MAX_BATCH) send();
    else sending ??= setTimeout(send, BATCH_MS).unref();
  };
  const recordGathered = () => {
    for (const { first, count, since, others } of [...refusals.take(), ...unauthenticated.take()]) {
      if (!others) record(first, 'refused', { count, since });
      else record({ action: 'any', token: undefined }, 'refused', { count, since, reason: OTHERS });
    }
  };
  const timer = setInterval(recordGathered, gatherMs).unref();

  app.decorateRequest('changes', null);
  app.addHook('onResponse', (request, reply, done) => {
    done();
    const { needs = 'nothing', audits, isQuestion = false } = request.routeOptions.config;
    const { method, caller } = request;
    const { statusCode: status } = reply;
    const isWrite =
      (needs !== 'nothing' || audits !== undefined) &&
      !isQuestion &&
      method !== 'GET' &&
      method !== 'HEAD' &&
      status !== 405;
    const action = audits ?? (needs === 'nothing' ? 'token' : needs);
    const isStep = action === 'content/write' && (method === 'POST' || method === 'PATCH') && status === 202;
    // A child that repeats its activation, or reports.
    const isKnown = isGatewayAction(needs) && status === 200;
    const isRefused = caller?.refused === true && status < 500;
    if (!isRefused && (!isWrite || isStep || isKnown)) return;
    const fields = {
      // Of the routes that need nothing, only the token endpoint and logins check credentials.
      action,
      method,
      ...named(request),
      token: tokenOf(caller),
      // A proxy may forward any text.
      address: clip(request.ip, 80),
      status,
    };
    if (status < 400) {
      // A login to a layer without accounts, or the end of no session: anyone may repeat it, and nothing is changed.
      if (needs === 'nothing' && fields.token === undefined) return;
      return record(fields, 'written');
    }
    const isNamed = caller?.identity !== undefined || (caller?.name ?? '') !== '';
    const isUnauthenticated = status === 401 || !isNamed || (status === 429 && !caller?.identity);
    const first = isUnauthenticated
      ? unauthenticated.add(unauthenticatedKindOf(fields), fields, Date.now())
      : refusals.add(kindOf(fields), fields, Date.now());
    if (first) record(fields, 'refused');
  });

  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      recordGathered();
      send();
      await Promise.race([queue.close(), sleep(LAST_ENTRIES_MS, undefined, { ref: false })]);
    },
  };
}

const OTHERS = 'refused requests of too many kinds to list each';

/** Token, network and reason: a client that tries other repositories makes no new kind. */
const kindOf = ({ token = '', address = '', action, method, status }: Fields): string =>
  JSON.stringify([token, networkOf(address), action, method, status]);

/** Without the name, which is not authenticated: one client may send a thousand. */
const unauthenticatedKindOf = ({ address = '', action, status }: Fields): string =>
  JSON.stringify([networkOf(address), action, status]);

function named(request: FastifyRequest): Record<string, string | undefined> {
  const { name, reference, digest, child } = request.params as Record<string, string | undefined>;
  const { changes } = request;
  return {
    repository: clipped(changes?.repository ?? name, 255),
    child: clipped(child, 80),
    reference: clipped(reference, 140),
    digest: clipped(
      changes?.digest ?? digest ?? parameter(request, 'digest') ?? parameter(request, 'mount'),
      140,
    ),
  };
}

const clipped = (text: string | undefined, max: number) => text && clip(text, max);

function tokenOf(caller: RequestCaller | null): string | undefined {
  return caller && NAME.test(caller.name) ? caller.name : undefined;
}

function defined(entry: { [K in keyof AuditEntry]?: AuditEntry[K] | undefined }): AuditEntry {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined)) as AuditEntry;
}

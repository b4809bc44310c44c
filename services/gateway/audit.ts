import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { TokenName } from '#proto/accounts.ts';
import { type AuditEntry, addAudit } from '#proto/audit.ts';
import type { Bus, Log } from '#proto/bus.ts';
import { Outbox } from '#proto/outbox.ts';
import { isGatewayAction } from '#proto/scopes.ts';
import type { Caller } from './access.ts';
import { Refusals } from './refusals.ts';
import { parameter } from './routing.ts';
import { networkOf } from './throttle.ts';

const NAME = new RegExp(TokenName.pattern as string);

/** What the log says of a request. */
type Fields = Pick<
  AuditEntry,
  'action' | 'method' | 'repository' | 'child' | 'reference' | 'digest' | 'address' | 'status'
> & { token: string | undefined };

export type AuditTrail = AsyncDisposable;

/** So many entries go to storage at once, and none waits longer for others, in ms. */
const BATCH = 100;
const BATCH_MS = 50;
/** So many batches are kept while storage is away. */
const MAX_BATCHES = 200;
/** How long the last entries have to reach storage when the process ends, in ms. */
const LAST_ENTRIES_MS = 1_000;

/**
 * One entry for each write, done or refused, and for each other refusal of somebody who gave credentials; refusals of
 * the same kind are gathered. A client that has given none yet, and is told how to, has not been refused. The steps of
 * an upload belong to the write that its end is. Nothing that could be a password is written: no header, no query, no
 * name that no token can have. Entries go to the log and, by storage, to the audit of the layer.
 */
export function audit(
  app: FastifyInstance,
  { bus, log, gatherMs }: { bus: Pick<Bus, 'call'>; log: Log; gatherMs: number },
): AuditTrail {
  const refusals = new Refusals<Fields>();
  const outbox = new Outbox<AuditEntry[]>(
    async (entries) => void (await bus.call(addAudit, { entries }, { patience: 1_000 })),
    (batches, err) =>
      log.error({ err, batches }, 'entries of the audit are lost: storage does not take them'),
    MAX_BATCHES,
  );
  let batch: AuditEntry[] = [];
  let sending: NodeJS.Timeout | undefined;
  const send = () => {
    clearTimeout(sending);
    sending = undefined;
    if (batch.length > 0) outbox.add(batch);
    batch = [];
  };
  const tell = (fields: Fields, outcome: 'written' | 'refused', gathered: Partial<AuditEntry> = {}) => {
    log.info({ audit: true, ...fields, ...gathered }, outcome);
    const { token: account, ...rest } = fields;
    const entry = { at: Date.now(), outcome, ...rest, ...gathered, ...(account && { account }) };
    batch.push(defined(entry));
    if (batch.length >= BATCH) send();
    else sending ??= setTimeout(send, BATCH_MS).unref();
  };
  const tellGathered = () => {
    for (const { first, count, since, others } of refusals.take()) {
      if (!others) tell(first, 'refused', { count, since });
      else tell({ action: 'any', token: undefined }, 'refused', { count, since, reason: OTHERS });
    }
  };
  const timer = setInterval(tellGathered, gatherMs).unref();

  app.addHook('onResponse', async (request, reply) => {
    const { needs = 'nothing' } = request.routeOptions.config;
    const { method, caller } = request;
    const { statusCode: status } = reply;
    const isWrite = needs !== 'nothing' && method !== 'GET' && method !== 'HEAD' && status !== 405;
    const isStep = (method === 'POST' || method === 'PATCH') && status === 202;
    // A child that says once more that it is there.
    const isKnown = isGatewayAction(needs) && status === 200;
    const isRefused = caller?.refused === true && status < 500;
    if (!isRefused && (!isWrite || isStep || isKnown)) return;
    const fields = {
      // Of what needs nothing, only the giving of tokens looks at credentials.
      action: needs === 'nothing' ? 'token' : needs,
      method,
      ...named(request),
      token: tokenOf(caller),
      // What a proxy passes on may be anything.
      address: request.ip.slice(0, 80),
      status,
    };
    if (status < 400) tell(fields, 'written');
    else if (refusals.add(kindOf(fields), fields, Date.now())) tell(fields, 'refused');
  });

  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      tellGathered();
      send();
      await Promise.race([outbox.close(), sleep(LAST_ENTRIES_MS, undefined, { ref: false })]);
    },
  };
}

const OTHERS = 'refused requests of too many kinds to tell each';

/** Whose it is, from where, and why: a client that tries other repositories makes no other kind. */
const kindOf = ({ token = '', address = '', action, method, status }: Fields): string =>
  JSON.stringify([token, networkOf(address), action, method, status]);

function named(request: FastifyRequest): Record<string, string | undefined> {
  const { name, reference, digest, child } = request.params as Record<string, string | undefined>;
  return {
    repository: name?.slice(0, 255),
    child: child?.slice(0, 80),
    reference: reference?.slice(0, 140),
    digest: (digest ?? parameter(request, 'digest') ?? parameter(request, 'mount'))?.slice(0, 140),
  };
}

function tokenOf(caller: Caller | null): string | undefined {
  return caller && NAME.test(caller.name) ? caller.name : undefined;
}

function defined(entry: { [K in keyof AuditEntry]?: AuditEntry[K] | undefined }): AuditEntry {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined)) as AuditEntry;
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { TokenName } from '#proto/accounts/accounts.ts';
import { isGatewayAction } from '#proto/accounts/scopes.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { clip } from '#proto/contract/clip.ts';
import type { AuditEntry } from '#proto/status/audit.ts';
import type { Caller } from '../auth/access.ts';
import { networkOf } from '../auth/throttle.ts';
import { parameter } from '../http/parameters.ts';
import { auditOutbox } from './audit-outbox.ts';
import { Refusals } from './refusals.ts';

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
  // Apart, so that strangers who try many things leave room for the refusals of accounts.
  const strangers = new Refusals<Fields>();
  const outbox = auditOutbox(bus, log);
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
    for (const { first, count, since, others } of [...refusals.take(), ...strangers.take()]) {
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
      address: clip(request.ip, 80),
      status,
    };
    if (status < 400) return tell(fields, 'written');
    const isStranger = status === 401 || (status === 429 && !caller?.identity);
    const first = isStranger
      ? strangers.add(strangersKindOf(fields), fields, Date.now())
      : refusals.add(kindOf(fields), fields, Date.now());
    if (first) tell(fields, 'refused');
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

/** Of who has not proven who it is, the name says nothing: one client may give a thousand. */
const strangersKindOf = ({ address = '', action, status }: Fields): string =>
  JSON.stringify([networkOf(address), action, status]);

function named(request: FastifyRequest): Record<string, string | undefined> {
  const { name, reference, digest, child } = request.params as Record<string, string | undefined>;
  return {
    repository: clipped(name, 255),
    child: clipped(child, 80),
    reference: clipped(reference, 140),
    digest: clipped(digest ?? parameter(request, 'digest') ?? parameter(request, 'mount'), 140),
  };
}

const clipped = (text: string | undefined, max: number) => text && clip(text, max);

function tokenOf(caller: Caller | null): string | undefined {
  return caller && NAME.test(caller.name) ? caller.name : undefined;
}

function defined(entry: { [K in keyof AuditEntry]?: AuditEntry[K] | undefined }): AuditEntry {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined)) as AuditEntry;
}

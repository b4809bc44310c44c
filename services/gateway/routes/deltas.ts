import type { FastifyInstance, FastifyRequest } from 'fastify';
import { accountsChanged } from '#proto/accounts/accounts.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { locateDelta } from '#proto/content/deltas.ts';
import { parse } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Static, TSchema } from '#proto/contract/schema.ts';
import type { Digest } from '#proto/oci/names.ts';
import { DELTAS_PATH, DeltaQuestion, PushedDelta } from '#proto/sync/delta-exchange.ts';
import { mayAlso } from '../auth/request-caller.ts';
import { Waiters } from '../children/long-poll.ts';
import { DeltaJobs } from '../deltas/delta-jobs.ts';
import { accountOf, mayOrder, QuestionAnswers } from '../deltas/delta-question.ts';
import { DeltasAhead } from '../deltas/deltas-ahead.ts';
import { PushedDeltas } from '../deltas/pushed-deltas.ts';
import { readBody } from '../http/read-body.ts';
import { created } from '../http/upload-replies.ts';
import { sendArrivedBytes } from './arrived-bytes.ts';
import { checkMode, type Gateway, type RouteHandler, registerResource } from './resource.ts';

/** Max size of a question, in bytes: 1,100 digests. */
const MAX_QUESTION_BYTES = 256 * 1024;
/** Max waiting questions of one account: a child asks once per image. */
const MAX_WAITING_EACH = 64;

/** Deltas between this layer and the layers below: proto/sync/delta-exchange.ts. */
export function registerDeltaRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, times, access, longPolls, log, cache, volume } = gateway;
  const { patienceMs } = times;
  const patience = { patience: patienceMs };
  const jobs = new DeltaJobs({ bus, configuration: () => gateway.configuration(), log });
  const ahead = new DeltasAhead({ bus, volume, cache, jobs, patienceMs, log });
  const pushed = new PushedDeltas({ bus, jobs, patienceMs });
  const waiters = new Waiters(app);
  /** Targets for which requests wait, and those who may have to submit jobs. */
  const targets = new WeakMap<FastifyRequest, ReadonlySet<Digest>>();
  const submitters = new WeakMap<FastifyRequest, { readonly hasWaitingJobs: boolean }>();
  jobs.onOutcome((to, account) =>
    waiters.wakeWhere((request) => {
      if (targets.get(request)?.has(to)) return true;
      return submitters.get(request)?.hasWaitingJobs === true && accountOf(request) === account;
    }),
  );
  for (const event of [accountsChanged, storageStarted]) bus.onInvalidation(event, waiters.wakeAll);
  // After `jobs` has forgotten what was pending.
  bus.onGap(waiters.wakeAll);

  const ask: RouteHandler = async (request, reply) => {
    const question = await bodyOf(request, DeltaQuestion, gateway);
    const answers = new QuestionAnswers({ bus, cache, jobs, patienceMs }, question);
    targets.set(request, new Set(question.wanted.map(({ digest }) => digest)));
    submitters.set(request, answers);
    const end = performance.now() + question.wait * 1_000;
    using slot = longPolls.slotFor(request, DELTAS_PATH, MAX_WAITING_EACH);
    const answer = await waiters.pollUntil(request, { end, slot }, async () => {
      await access.recheck(request, reply);
      return answers.check(request);
    });
    if (mayOrder(request) && mayAlso(request, question.repository, 'content/read'))
      ahead.onQuestion(question);
    reply.header('cache-control', 'no-store').type('application/json');
    return reply.send(JSON.stringify(answer));
  };

  const bases: RouteHandler = async (request, reply) => {
    const question = await bodyOf(request, DeltaQuestion, gateway);
    await access.recheck(request, reply);
    checkMode(gateway);
    const answer = await pushed.bases(request, question);
    reply.header('cache-control', 'no-store').type('application/json');
    return reply.send(JSON.stringify(answer));
  };

  const apply: RouteHandler = async (request, reply) => {
    const push = await bodyOf(request, PushedDelta, gateway);
    const { repository, delta, wait } = push;
    request.changes = { repository, digest: delta.to };
    targets.set(request, new Set([delta.to]));
    submitters.set(request, { hasWaitingJobs: true });
    const end = performance.now() + wait * 1_000;
    using slot = longPolls.slotFor(request, `${DELTAS_PATH}/apply`, MAX_WAITING_EACH);
    const isApplied = await waiters.pollUntil(request, { end, slot }, async () => {
      await access.recheck(request, reply);
      checkMode(gateway);
      return pushed.apply(request, push);
    });
    return isApplied ? created(reply, repository, delta.to) : reply.code(202).send();
  };

  registerResource(app, gateway, DELTAS_PATH, {
    POST: {
      needs: 'login',
      isQuestion: true,
      handler: ask,
      answer:
        '200: for each wanted blob of the question, a delta, that one is being made, or that there will be none, after `wait` seconds at most',
    },
  });
  registerResource(app, gateway, `${DELTAS_PATH}/bases`, {
    POST: {
      needs: 'login',
      isQuestion: true,
      handler: bases,
      answer:
        '200: which blobs of the question the repository has, and which of those that the child holds a pushed delta may be made of; nothing without the rights to pull and push',
    },
  });
  registerResource(app, gateway, `${DELTAS_PATH}/apply`, {
    POST: {
      needs: 'login',
      audits: 'content/write',
      handler: apply,
      answer:
        '201: the repository has the blob that the pushed delta makes; 202: not yet after `wait` seconds; any other status: push the blob itself',
    },
  });
  registerResource(app, gateway, `${DELTAS_PATH}/:digest`, {
    GET: {
      needs: 'login',
      handler: sendArrivedBytes(gateway, {
        path: DELTAS_PATH,
        what: 'delta',
        locate: (repository, digest) => bus.call(locateDelta, { repository, digest }, patience),
        waiters,
      }),
      answer:
        '206: the bytes of the delta that are here, from the start of `Range`; 204: none after `wait` seconds',
    },
  });
}

/** @throws Fault `malformed`, naming the field; `too-large`, `too-slow` */
async function bodyOf<T extends TSchema>(
  request: FastifyRequest,
  schema: T,
  { times }: Gateway,
): Promise<Static<T>> {
  const body = await readBody(request.raw, {
    what: 'body',
    limit: MAX_QUESTION_BYTES,
    withinMs: times.idleMs,
  });
  try {
    return parse(schema, body);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault('malformed', 'the body is not JSON', { cause });
  }
}

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isGatewayAction, isOperateAction } from '#proto/accounts/scopes.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Mode } from '#proto/oci/mode.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Access } from '../auth/access.ts';
import type { Needs } from '../auth/needs.ts';
import type { LongPolls } from '../children/long-poll.ts';
import type { ContentCache } from '../content/content-cache.ts';
import type { IdleClaims } from '../content/idle-claims.ts';
import type { RunningHashes } from '../content/running-hashes.ts';
import type { MinimumRate } from '../http/minimum-rate.ts';
import type { Operators } from '../http/operators.ts';
import type { HttpCounters } from '../metrics/http-counters.ts';

/**
 * The endpoints of the registry, one file per group of paths, and what they share: `Gateway`, which `app.ts` builds
 * once per process, and `registerResource`, which registers a path.
 *
 * `registerResource` checks the method, the access that the path needs, and the mode, before a request reaches its
 * handler. A handler parses the request with `http/`, calls storage over the bus or reads `content/`, and replies; it
 * throws a Fault for every refusal. A handler that writes a body claims an ingest, writes it with `writeBody`, checks
 * the access again and lets storage commit. What must be completed although the client has disconnected is awaited by
 * `completeDespiteDisconnect`.
 */

/** Shared by all routes of a process. */
export type Gateway = {
  bus: Bus;
  volume: Volume;
  /** Holder of this process's claims. */
  instance: string;
  /** Mode of the layer; `undefined` until its configuration has been received. */
  mode: () => Mode | undefined;
  /** Configuration in force; `undefined` until it has been received. */
  configuration: () => Configuration | undefined;
  log: Log;
  access: Access;
  operators: Operators;
  hashes: RunningHashes;
  idleClaims: IdleClaims;
  cache: ContentCache;
  longPolls: LongPolls;
  /** Work that continues after its client has disconnected: the claim of a broken upload must still be released. */
  pending: Set<Promise<unknown>>;
  times: RouteTimes;
  /** Its disposal sends the last entries. */
  auditTrail: AsyncDisposable;
  httpCounters: HttpCounters;
};

export type RouteTimes = {
  /** A body that delivers nothing for this time ends, in ms; so does a reader that accepts nothing. */
  idleMs: number;
  /** A slower body ends; the bytes received before are stored. */
  minimumRate: MinimumRate;
  /** Interval between renewals of the claim of a running upload, in ms. */
  renewMs: number;
  /** Max time since the last renewal of an idle claim that is resumed, in ms. */
  idleClaimMs: number;
  /** How long a client may continue to send a body that is already answered, in ms: it may not have read the answer. */
  lingerMs: number;
  /** Interval between checks of the rights during a long response, in ms. */
  recheckMs: number;
  /** How long refusals of the same kind are gathered, in ms. */
  gatherMs: number;
  /** How long a call waits for storage to be available again, in ms. */
  patienceMs: number;
};

/** Answers synchronously, without a result, or resolves to one once it has answered. */
export type RouteHandler = (request: FastifyRequest, reply: FastifyReply) => undefined | Promise<unknown>;
type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
const methods: Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

type Endpoint = {
  needs: Needs;
  handler: RouteHandler;
  /** On the listener of operators, it needs no login: monitoring has its own network there. */
  isFreeForOperators?: true;
  /** Its body is a question, which changes nothing: any mode allows it, and the audit does not record it. */
  isQuestion?: true;
  /** Action in the audit, instead of the right. */
  audits?: string;
} & About;

/** For the reference (docs/reference/http.md). */
type About = {
  /** Endpoints of the distribution-spec, such as `end-2`. */
  spec?: string;
  /** Statuses, and what each means. */
  answer: string;
};

declare module 'fastify' {
  interface FastifyContextConfig extends Partial<About> {
    isQuestion?: true;
  }
}

/**
 * Registers one path and its methods: every other method is answered 405. Checks the access of the caller first and
 * then, for a write of content, the mode.
 */
export function registerResource(
  app: FastifyInstance,
  gateway: Gateway,
  url: string,
  endpoints: Partial<Record<Method, Endpoint>>,
): void {
  const allowed = Object.keys(endpoints).join(', ');
  for (const method of methods) {
    const { needs, handler, spec, answer, isFreeForOperators, isQuestion, audits } = endpoints[method] ?? {};
    const isWrite = method !== 'GET' && method !== 'HEAD' && !isQuestion;
    const needsMode = isWrite && needs !== undefined && isOfContent(needs);
    app.route({
      method,
      url,
      config: {
        ...(needs && { needs }),
        ...(spec && { spec }),
        ...(answer && { answer }),
        ...(isQuestion && { isQuestion }),
        ...(audits && { audits }),
      },
      // What needs no wait is answered without one: each promise costs time that a request for a manifest notices.
      handler: (request, reply) => {
        if (!needs || !handler) {
          reply.header('allow', allowed);
          throw new Fault('unsupported', `${method} is not supported here: use ${allowed}`);
        }
        const admitted = () => {
          if (needsMode) checkMode(gateway);
          return handler(request, reply);
        };
        if (isFreeForOperators && gateway.operators.isOwn(request.raw)) return admitted();
        const checked = gateway.access.check(request, reply, needs);
        return checked instanceof Promise ? checked.then(admitted) : admitted();
      },
    });
  }
}

const isOfContent = (needs: Needs): boolean =>
  needs !== 'nothing' && !isGatewayAction(needs) && !isOperateAction(needs);

/**
 * The message is that of the connected registry, which existing tools expect.
 * @throws Fault `denied` unless the layer takes writes
 */
export function checkMode(gateway: Gateway): void {
  const mode = gateway.mode();
  if (mode === 'ReadWrite') return;
  if (mode === undefined) throw new Fault('unavailable', 'the layer has no configuration yet');
  throw new Fault('denied', 'This operation is not allowed on this registry.');
}

/**
 * Awaits work that is completed even if the client has disconnected, such as the release of a claim, and registers it:
 * the process waits for it, too, before it ends.
 */
export async function completeDespiteDisconnect<T>(gateway: Gateway, work: Promise<T>): Promise<T> {
  gateway.pending.add(work);
  try {
    return await work;
  } finally {
    gateway.pending.delete(work);
  }
}

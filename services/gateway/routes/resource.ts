import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isGatewayAction } from '#proto/accounts/scopes.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import type { CallOptions } from '#proto/bus/calls.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Mode } from '#proto/oci/mode.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { Access } from '../auth/access.ts';
import type { Needs } from '../auth/needs.ts';
import type { LongPolls } from '../children/long-poll.ts';
import type { ContentCache } from '../content/content-cache.ts';
import type { RunningHashes } from '../content/running-hashes.ts';
import type { MinimumRate } from '../http/minimum-rate.ts';

/** What the routes of one process share. */
export type Gateway = {
  bus: Bus;
  volume: Volume;
  /** Who holds the claims of this process. */
  instance: string;
  /** What clients may do now; `undefined` until the layer's configuration has been seen. */
  mode: () => Mode | undefined;
  /** What is in force now; `undefined` until it has been seen. */
  configuration: () => Configuration | undefined;
  log: Log;
  access: Access;
  hashes: RunningHashes;
  cache: ContentCache;
  longPolls: LongPolls;
  /** Work that goes on when its client has gone: the claim of a broken upload is still to be released. */
  pending: Set<Promise<unknown>>;
  times: Times;
  /** Ends with the last entries told. */
  trail?: AsyncDisposable;
};

export type Times = {
  /** A body that brings nothing for this long ends, in ms; so does a reader that takes nothing. */
  idleMs: number;
  /** A body that is slower ends; what came of it is kept. */
  minimumRate: MinimumRate;
  /** How often the claim of an upload under way is renewed. */
  renewMs: number;
  /** How long a client may go on sending a body that is already answered, in ms: it may not have read the answer. */
  lingerMs: number;
  /** Between two looks at the rights of whoever reads a long answer, in ms. */
  recheckMs: number;
  /** For how long refusals of the same kind are gathered, in ms. */
  gatherMs: number;
  /** How long a request waits for storage to come back. */
  patienceMs: number;
};

export type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;
type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
const methods: Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

/**
 * One path and what can be done with it: every other method is answered 405. Who asks is looked at first, and then, for
 * a write of content, the mode.
 */
export function resource(
  app: FastifyInstance,
  gateway: Gateway,
  url: string,
  handlers: Partial<Record<Method, [needs: Needs, handler: Handler]>>,
): void {
  const allowed = Object.keys(handlers).join(', ');
  for (const method of methods) {
    const [needs, handler] = handlers[method] ?? [];
    app.route({
      method,
      url,
      config: needs ? { needs } : {},
      handler: async (request, reply) => {
        if (!needs || !handler) {
          reply.header('allow', allowed);
          throw new Fault('unsupported', `${method} is not possible here, but ${allowed}`);
        }
        await gateway.access.check(request, reply, needs);
        const isContent = needs !== 'nothing' && !isGatewayAction(needs);
        if (isContent && method !== 'GET' && method !== 'HEAD') checkMode(gateway);
        return handler(request, reply);
      },
    });
  }
}

/** The words of a refusal are those of the connected registry, which existing tools look for. */
function checkMode(gateway: Gateway): void {
  const mode = gateway.mode();
  if (mode === 'ReadWrite') return;
  if (mode === undefined) throw new Fault('unavailable', 'the layer has no configuration yet');
  throw new Fault('denied', 'This operation is not allowed on this registry.');
}

/** What follows a client's departure, a claim to be given back, is waited for when the process ends. */
export async function settle<T>(gateway: Gateway, work: Promise<T>): Promise<T> {
  gateway.pending.add(work);
  try {
    return await work;
  } finally {
    gateway.pending.delete(work);
  }
}

/** How storage is asked for a change: in the name of the account that makes the request. */
export function inTheNameOf({ caller }: FastifyRequest, { times }: Pick<Gateway, 'times'>): CallOptions {
  return { patience: times.patienceMs, behalf: caller?.identity?.name };
}

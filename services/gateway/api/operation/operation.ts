import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { API_PATH } from '#proto/api/lists.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Static, TObject, TSchema } from '#proto/contract/schema.ts';
import type { Needs } from '../../auth/needs.ts';
import type { Gateway } from '../../routes/resource.ts';
import { bodyOf } from './body.ts';
import { checkSameOrigin } from './origin.ts';
import { queryOf } from './query.ts';

/** A request that is admitted and checked. */
export type OperationCall<Q extends TObject = TObject, B extends TObject = TObject> = {
  request: FastifyRequest;
  reply: FastifyReply;
  query: Static<Q>;
  body: Static<B>;
};

/**
 * One method of a path of the API, with all that its document says of it. `registerOperations` checks a request before
 * it reaches the handler: where a change comes from (`origin.ts`), the right, the query (`query.ts`) and the body
 * (`body.ts`).
 */
export type Operation = {
  method: 'GET' | 'POST' | 'DELETE';
  /** Below `API_PATH`, in the form of Fastify. */
  path: string;
  needs: Needs;
  /** One sentence. */
  summary: string;
  query?: TObject;
  body?: TObject;
  /** Schemas of answers by status; those of refusals are the same for all operations. */
  answers: Record<number, TSchema>;
  /** Further statuses of refusals that the operation may have. */
  refusals?: number[];
  /** Media type of the answers, if that is not JSON. */
  mediaType?: string;
  /** Action in the audit, `<noun>/<verb>`; its right by default. */
  audits?: string;
  /** Returns the body of the answer, or nothing if it has answered. The status is the first one unless it is set. */
  handler: (call: OperationCall) => Promise<unknown>;
};

/** An operation whose handler gets the types of its query and body. */
export const operation = <Q extends TObject, B extends TObject>(
  declared: Omit<Operation, 'query' | 'body' | 'handler'> & {
    query?: Q;
    body?: B;
    handler: (call: OperationCall<Q, B>) => Promise<unknown>;
  },
): Operation => declared as unknown as Operation;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Action in the audit, instead of the right. */
    audits?: string;
    /** A session cookie counts as a login. */
    session?: boolean;
  }
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** Registers operations; every other method of their paths is answered 405. */
export function registerOperations(
  app: FastifyInstance,
  gateway: Gateway,
  operations: readonly Operation[],
): void {
  const byPath = Map.groupBy(operations, ({ path }) => path);
  for (const [path, some] of byPath) {
    const allowed = some.map(({ method }) => method).join(', ');
    for (const method of methods) {
      const found = some.find((one) => one.method === method);
      app.route({
        method,
        url: `${API_PATH}${path}`,
        config: found
          ? {
              needs: found.needs,
              answer: found.summary,
              session: true,
              ...(found.audits && { audits: found.audits }),
            }
          : {},
        handler: (request, reply) => {
          if (found) return run(gateway, found, request, reply);
          reply.header('allow', allowed);
          throw new Fault('unsupported', `${method} is not supported here: use ${allowed}`);
        },
      });
    }
  }
}

async function run(
  gateway: Gateway,
  { method, needs, query, body, answers, handler }: Operation,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
  if (method !== 'GET') checkSameOrigin(request);
  await gateway.access.check(request, reply, needs);
  await gateway.access.authentication.renewSession(request, reply);
  const answer = await handler({
    request,
    reply,
    query: queryOf(request, query),
    body: body ? await bodyOf(request, body, gateway.times.idleMs) : {},
  });
  if (reply.sent || answer === undefined) return reply;
  const [status = 200] = Object.keys(answers).map(Number);
  if (reply.statusCode === 200) reply.code(status);
  return reply.type('application/json').send(JSON.stringify(answer));
}

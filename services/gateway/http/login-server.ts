import type { FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { hostOf } from './locations.ts';

/** Whoever watches over the process asks it by its address. */
export const HEALTH = '/healthz';

/**
 * With a login server configured, requests made to that name are served and no others, as in the connected registry:
 * a client that got here by another name holds credentials for another registry.
 * @throws Fault `misdirected`; `malformed` where the request names no host at all
 */
export function checkLoginServer(request: FastifyRequest, loginServer: string | undefined): void {
  const host = hostOf(request);
  if (loginServer === undefined || request.url === HEALTH) return;
  if (plain(host) === plain(loginServer.toLowerCase())) return;
  throw new Fault(
    'misdirected',
    `this registry answers as ${loginServer}, and this request is for ${host}: use that name (loginServer)`,
  );
}

/** The ports that clients leave out. */
const plain = (host: string): string => host.replace(/:(?:80|443)$/, '');

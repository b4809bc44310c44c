import type { FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { hostOf } from './locations.ts';

/** Path of the health check. Monitors request it by the address of the process, not by the login server. */
export const HEALTH_PATH = '/healthz';

/**
 * If a login server is configured, only requests to that name are served, as in the connected registry: a client that
 * uses another name has credentials for another registry.
 * @throws Fault `misdirected`; `malformed` if the host of the request is invalid
 */
export function checkLoginServer(request: FastifyRequest, loginServer: string | undefined): void {
  const host = hostOf(request);
  if (loginServer === undefined || request.url === HEALTH_PATH) return;
  if (withoutDefaultPort(host) === withoutDefaultPort(loginServer.toLowerCase())) return;
  throw new Fault(
    'misdirected',
    `this registry accepts requests for ${loginServer} only, and this one is for ${host}: use that name, or change loginServer`,
  );
}

/** Removes the ports that clients leave out. */
const withoutDefaultPort = (host: string): string => host.replace(/:(?:80|443)$/, '');

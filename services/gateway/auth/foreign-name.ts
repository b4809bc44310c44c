import type { FastifyRequest } from 'fastify';
import { PARENT_NAME_HEADER } from '#proto/accounts/children.ts';
import type { Log } from '#proto/bus/bus.ts';
import { hostOf } from '../http/locations.ts';

/** How long clients are asked for Basic after a layer below named this one otherwise, in ms. */
const KEPT_MS = 24 * 3_600_000;

/**
 * Detects that a proxy on the way here replaces the name by which clients know this registry, as in a layer without a
 * registry. The address of a token service would carry a name that those clients can't resolve. Their requests do not
 * show it, except where several proxies name the host; a layer below says how it names its parent.
 */
export class ForeignName {
  readonly #log: Log;
  #until = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Of a request that was authenticated. @throws Fault `malformed` */
  onRequest(request: FastifyRequest): void {
    const name = request.headers[PARENT_NAME_HEADER];
    if (typeof name !== 'string') return;
    const host = hostOf(request);
    if (withoutDefaultPort(name.toLowerCase()) === withoutDefaultPort(host)) return;
    const now = performance.now();
    if (now >= this.#until)
      this.#log.info(
        { host, name: name.slice(0, 260) },
        'a layer below reaches this one by another name: clients are asked to log in with Basic',
      );
    this.#until = now + KEPT_MS;
  }

  /** Whether the client may know this registry by a name other than the one of the request. */
  mayBe(request: FastifyRequest): boolean {
    const names = request.headers['x-forwarded-host'];
    return String(names ?? '').includes(',') || performance.now() < this.#until;
  }
}

const withoutDefaultPort = (host: string): string => host.replace(/:(?:80|443)$/, '');

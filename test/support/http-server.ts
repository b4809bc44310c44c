import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/**
 * Starts an HTTP server on a free port of 127.0.0.1. Its disposal closes all connections.
 * @param tls certificate and key (PEM), for HTTPS
 */
export async function serveHttp(
  listener: RequestListener,
  tls?: { cert: Buffer; key: Buffer },
): Promise<{ port: number; url: string } & AsyncDisposable> {
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

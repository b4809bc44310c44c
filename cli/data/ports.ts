import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Configuration } from '#proto/document/configuration.ts';
import { Refusal } from '../terminal/refusal.ts';

/** The ports to choose from, below the system's ephemeral ports (ip_local_port_range). */
const FIRST_PORT = 20_000;
const PORTS = 10_000;
/** Max ports tried. */
const MAX_ATTEMPTS = 100;

export type ListenAddress = { host: string; port: number };

/** `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000` */
export function parseAddress(text: string): ListenAddress {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

/** URL of the gateway for clients. */
export const urlOf = ({ listen, tls }: Pick<Configuration, 'listen' | 'tls'>): string =>
  `${tls ? 'https' : 'http'}://${listen}`;

/** The error code with which listening on the address fails; undefined if it succeeds. */
export async function listenErrorCode({ host, port }: ListenAddress): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  } finally {
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  }
}

/**
 * A port of 127.0.0.1 on which nothing listens now. It is no ephemeral port: the system could give such a port to a
 * connection, or to a listener on port 0, while the program that listens there is restarted.
 * @throws Refusal
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const port = FIRST_PORT + randomInt(PORTS);
    if (!(await listenErrorCode({ host: '127.0.0.1', port }))) return port;
  }
  throw new Refusal(
    `no free port was found from ${FIRST_PORT} to ${FIRST_PORT + PORTS - 1}: stop programs that listen there`,
  );
}

export async function accepts({ host, port }: ListenAddress): Promise<boolean> {
  const peer = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const socket = createConnection({ host: peer, port });
  socket.setTimeout(1_000, () => socket.destroy(new Error('no answer')));
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Waits until the address accepts connections. @returns false after a timeout */
export async function waitForPort(address: ListenAddress, withinMs: number): Promise<boolean> {
  for (const end = performance.now() + withinMs; performance.now() < end; await sleep(20)) {
    if (await accepts(address)) return true;
  }
  return false;
}

import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Configuration } from '#proto/configuration.ts';

export type Address = { host: string; port: number };

/** `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000` */
export function parseAddress(text: string): Address {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

/** Where clients find the gateway. */
export const urlOf = ({ listen, tls }: Pick<Configuration, 'listen' | 'tls'>): string =>
  `${tls ? 'https' : 'http'}://${listen}`;

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Why nothing can listen there, as an error code; undefined where something can. */
export async function whyNotFree({ host, port }: Address): Promise<string | undefined> {
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

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function accepts({ host, port }: Address): Promise<boolean> {
  const anyHost = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const socket = createConnection({ host: anyHost, port });
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

/** Waits until something accepts connections there. @returns false where the time was over first */
export async function waitFor(address: Address, withinMs: number): Promise<boolean> {
  for (const end = Date.now() + withinMs; Date.now() < end; await sleep(20)) {
    if (await accepts(address)) return true;
  }
  return false;
}

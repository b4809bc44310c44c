import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the ephemeral ports, which the system assigns to connections and to listeners on port 0; above the ports that
 * `fetch` blocks, of which 10080 is the highest (WHATWG Fetch, "Port blocking").
 */
const FIRST = 10_100;
const COUNT = 10_000;

/**
 * A TCP port of 127.0.0.1 that remains free for this test, also between two starts of a server: until this process
 * ends, a UDP socket on the same port reserves it against all other test files.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + randomInt(COUNT);
    if ((await reserve(port)) && (await isFree(port))) return port;
  }
}

async function reserve(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  socket.unref();
  return startListening(socket, () => socket.bind({ port, address: '127.0.0.1', exclusive: true }));
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  if (!(await startListening(server, () => server.listen(port, '127.0.0.1')))) return false;
  server.close();
  await once(server, 'close');
  return true;
}

async function startListening(socket: NodeJS.EventEmitter, listen: () => void): Promise<boolean> {
  listen();
  try {
    await once(socket, 'listening');
    return true;
  } catch {
    return false;
  }
}

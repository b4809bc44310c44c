import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the ports that the system gives to connections, and to listeners that take any; above those that `fetch`
 * refuses to speak to, of which 10080 is the highest (WHATWG Fetch, "Port blocking").
 */
const FIRST = 10_100;
const COUNT = 10_000;

/**
 * A TCP port of 127.0.0.1 that stays free until the test listens there, also between two starts of what listens: a
 * datagram socket of the same number keeps it from all other test files until this process ends.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + randomInt(COUNT);
    if ((await isHeld(port)) && (await isFree(port))) return port;
  }
}

async function isHeld(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  socket.unref();
  return listens(socket, () => socket.bind({ port, address: '127.0.0.1', exclusive: true }));
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  if (!(await listens(server, () => server.listen(port, '127.0.0.1')))) return false;
  server.close();
  await once(server, 'close');
  return true;
}

async function listens(socket: NodeJS.EventEmitter, begin: () => void): Promise<boolean> {
  begin();
  try {
    await once(socket, 'listening');
    return true;
  } catch {
    return false;
  }
}

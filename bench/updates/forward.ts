import { createConnection, createServer } from 'node:net';

/** Beyond an emulated link: forwards what comes to an address to a socket of a folder: `forward.ts HOST:PORT PATH`. */
const [address = '', path = ''] = process.argv.slice(2);
const { hostname, port } = new URL(`http://${address}`);
const server = createServer((near) => {
  const far = createConnection({ path });
  for (const [socket, other] of [
    [near, far],
    [far, near],
  ] as const) {
    socket.setNoDelay(true);
    socket.pipe(other);
    socket.on('error', () => other.destroy());
    socket.on('close', () => other.destroySoon());
  }
});
server.listen(Number(port), hostname);

import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';

/** Bytes that crossed a link, with all headers of HTTP. */
export type Crossed = { down: number; up: number };

/**
 * A TCP proxy in front of a registry, that stands for the link: it counts the bytes from the registry (`down`) and to
 * it (`up`).
 */
export class CountingProxy implements AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly host: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  readonly #counted: Crossed;

  /** @param target `host:port` of the registry */
  static async start(target: string): Promise<CountingProxy> {
    const { hostname, port } = new URL(`http://${target}`);
    const counted = { down: 0, up: 0 };
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = createConnection({ host: hostname, port: Number(port) });
      far.on('data', (bytes) => {
        counted.down += bytes.byteLength;
      });
      near.on('data', (bytes) => {
        counted.up += bytes.byteLength;
      });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket);
        socket.setNoDelay(true);
        socket.pipe(other);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new CountingProxy(server, sockets, counted);
  }

  private constructor(server: Server, sockets: Set<Socket>, counted: Crossed) {
    this.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    this.#sockets = sockets;
    this.#counted = counted;
  }

  /** Does some work. @returns the bytes that crossed meanwhile, both ways together */
  async bytesOf(work: () => Promise<unknown>): Promise<number> {
    const before = { ...this.#counted };
    await work();
    return this.#counted.down - before.down + this.#counted.up - before.up;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

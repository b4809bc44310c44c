import { once } from 'node:events';
import {
  type AddressInfo,
  createConnection,
  createServer,
  type NetConnectOpts,
  type Server,
  type Socket,
} from 'node:net';

/**
 * A TCP proxy in front of a registry, that stands for the link: it counts the bytes from the registry and to it, with
 * all headers of HTTP.
 */
export class CountingProxy implements AsyncDisposable {
  /** `127.0.0.1:port`, or the path of a socket. */
  readonly host: string;
  #target: NetConnectOpts;
  #bytes = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /**
   * @param target `host:port`, or the path of a socket
   * @param path of a socket that it listens on, instead of a port of 127.0.0.1
   */
  static async start(target: string, path?: string): Promise<CountingProxy> {
    const server = createServer();
    if (path) server.listen(path);
    else server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new CountingProxy(server, path ?? `127.0.0.1:${(server.address() as AddressInfo).port}`, target);
  }

  private constructor(server: Server, host: string, target: string) {
    this.host = host;
    this.#server = server;
    this.#target = connectionTo(target);
    server.on('connection', (near) => this.#connect(near));
  }

  /** From now on, connections go to this target; those that are open end. */
  route(target: string): void {
    this.#target = connectionTo(target);
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Does some work. @returns the bytes that crossed meanwhile, both ways together */
  async bytesOf(work: () => Promise<unknown>): Promise<number> {
    const before = this.#bytes;
    await work();
    return this.#bytes - before;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #connect(near: Socket): void {
    const far = createConnection(this.#target);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('data', (bytes) => {
        this.#bytes += bytes.byteLength;
      });
      socket.pipe(other);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        // What it received last may still be on its way to the other side.
        other.destroySoon();
      });
    }
  }
}

function connectionTo(target: string): NetConnectOpts {
  if (target.startsWith('/')) return { path: target };
  const { hostname, port } = new URL(`http://${target}`);
  return { host: hostname, port: Number(port) };
}

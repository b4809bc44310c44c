import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';

/** An HTTP proxy that tunnels by CONNECT and records the targets. */
export class ConnectProxy implements AsyncDisposable {
  /** `host:port`, in the order of the requests. */
  readonly targets: string[] = [];
  readonly #server: Server;

  static async start(): Promise<ConnectProxy> {
    const proxy = new ConnectProxy();
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  private constructor() {
    this.#server = createServer((_, response) => response.writeHead(405).end());
    this.#server.on('connect', ({ url = '' }, socket, head) => {
      this.targets.push(url);
      const { hostname, port } = new URL(`http://${url}`);
      const target = connect(Number(port), hostname, () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        target.write(head);
        socket.pipe(target).pipe(socket);
      });
      for (const [one, other] of [
        [target, socket],
        [socket, target],
      ] as const) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
      }
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

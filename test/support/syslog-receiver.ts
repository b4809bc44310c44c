import { readFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Tls } from '#proto/document/configuration.ts';
import { until } from './until.ts';

export type SyslogReceiverOptions = {
  /** TLS with this certificate. */
  tls?: Tls;
  /** Path of the CA whose client certificates are demanded. */
  clientCa?: string;
  /** Reads nothing of what is sent. */
  deaf?: boolean;
};

/** A syslog receiver (RFC 5425, RFC 6587) on a fixed port, which can be stopped and started again. */
export class SyslogReceiver implements AsyncDisposable {
  /** Messages received, in order. */
  readonly messages: string[] = [];
  /** Number of connections, and of those that presented a client certificate that was accepted. */
  connections = 0;
  authorized = 0;
  readonly #port: number;
  readonly #options: SyslogReceiverOptions;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  constructor(port: number, options: SyslogReceiverOptions = {}) {
    this.#port = port;
    this.#options = options;
  }

  async start(): Promise<void> {
    const { tls, clientCa, deaf } = this.#options;
    const accept = (socket: Socket & { authorized?: boolean }) => {
      this.connections += 1;
      if (socket.authorized) this.authorized += 1;
      socket.on('error', () => {});
      if (deaf) socket.pause();
      else this.#read(socket);
    };
    const server = tls
      ? createTlsServer(
          {
            cert: await readFile(tls.certificateFile),
            key: await readFile(tls.keyFile),
            ...(clientCa && { ca: await readFile(clientCa), requestCert: true, rejectUnauthorized: true }),
          },
          accept,
        )
      : createServer({ pauseOnConnect: deaf ?? false }, accept);
    server.on('tlsClientError', () => {});
    // Also those that are still in the handshake, or arrive while the server closes: it would wait for them.
    server.on('connection', (socket: Socket) => {
      if (this.#server !== server) return void socket.destroy();
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
  }

  /** Cuts all connections. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  }

  /** Ids of the messages, in order. */
  ids(): string[] {
    return this.messages.map((message) => parameter(message, 'id') ?? '');
  }

  /** The messages once they satisfy the predicate. */
  async until(predicate: (messages: string[]) => boolean): Promise<string[]> {
    await until(
      () => predicate(this.messages),
      () => `received: ${this.messages.slice(-10).join('\n')}`,
    );
    return this.messages;
  }

  #read(socket: Socket): void {
    let rest = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      for (;;) {
        const space = rest.indexOf(0x20);
        if (space < 0 && rest.byteLength < 10) return;
        const length = Number(rest.subarray(0, space).toString());
        // Not octet counting, such as TLS.
        if (!Number.isSafeInteger(length)) {
          socket.destroy();
          return;
        }
        if (rest.byteLength < space + 1 + length) return;
        this.messages.push(rest.subarray(space + 1, space + 1 + length).toString());
        rest = rest.subarray(space + 1 + length);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The first value of a parameter of the structured data, as written. */
export function parameter(message: string, name: string): string | undefined {
  return new RegExp(` ${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(message)?.[1];
}

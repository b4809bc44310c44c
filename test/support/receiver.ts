import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Envelope } from '#proto/contract/envelope.ts';
import { freePort } from './ports.ts';
import { patienceSignal } from './until.ts';

export type Delivery = {
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  event: Envelope & { subject?: string; datacontenttype?: string };
};
/** A status, maybe with headers; `hang`: no answer; `cut`: the connection is closed. */
export type Answer = number | { status: number; headers: Record<string, string> } | 'hang' | 'cut';

/** A receiver of webhooks with programmable answers, which can be stopped and restarted. */
export class TestReceiver implements AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** All deliveries, in order. */
  readonly deliveries: Delivery[] = [];
  /** Deliveries that were answered with 2xx, in order. */
  readonly accepted: Delivery[] = [];
  /** The answer to a delivery. */
  answer: (delivery: Delivery) => Answer | Promise<Answer> = () => 204;
  readonly #tls: { key: Buffer; cert: Buffer } | undefined;
  #server: Server | undefined;
  #waiting = new Set<() => void>();

  static async start(tls?: { key: Buffer; cert: Buffer }): Promise<TestReceiver> {
    const receiver = new TestReceiver(await freePort(), tls);
    await receiver.up();
    return receiver;
  }

  private constructor(port: number, tls: { key: Buffer; cert: Buffer } | undefined) {
    this.port = port;
    this.#tls = tls;
    this.url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}/events?of=test`;
  }

  async up(): Promise<void> {
    const handler = (request: IncomingMessage, response: ServerResponse) =>
      void this.#receive(request, response).catch(() => response.destroy());
    this.#server = this.#tls ? createTlsServer(this.#tls, handler) : createServer(handler);
    await once(this.#server.listen(this.port, '127.0.0.1'), 'listening');
  }

  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }

  /** Subjects of the events that were answered with 2xx. */
  get subjects(): (string | undefined)[] {
    return this.accepted.map(({ event }) => event.subject);
  }

  /** Resolves when `holds` returns true; it is checked after each request and answer. @throws after `patience()` */
  async until(holds: () => boolean, what: string): Promise<void> {
    const timeout = patienceSignal();
    while (!holds()) {
      if (timeout.aborted) {
        throw new Error(
          `timeout: ${what}; ${this.deliveries.length} deliveries, ${this.accepted.length} answered with 2xx`,
        );
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          timeout.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        timeout.addEventListener('abort', wake);
      });
    }
  }

  /** Resolves when `count` events have been answered with 2xx. */
  untilAccepted(count: number): Promise<void> {
    return this.until(() => this.accepted.length >= count, `${count} events answered with 2xx`);
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const body = Buffer.concat(pieces).toString('utf8');
    const { headers, url: path = '' } = request;
    const delivery = { path, headers, body, event: JSON.parse(body) };
    this.deliveries.push(delivery);
    this.#wake();
    const answer = await this.answer(delivery);
    if (answer === 'hang') return;
    if (answer === 'cut') return void request.socket.destroy();
    const { status, headers: answerHeaders } =
      typeof answer === 'number' ? { status: answer, headers: {} } : answer;
    if (status >= 200 && status < 300) this.accepted.push(delivery);
    response.writeHead(status, answerHeaders).end();
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}

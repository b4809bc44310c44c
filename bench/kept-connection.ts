import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';

type Sent = { body?: Buffer; type?: string; expect?: number };

/** One connection to a registry that stays open between requests: they are sent one after the other. */
export class KeptConnection implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #host: string;

  constructor(host: string) {
    this.#host = host;
  }

  /**
   * @param url absolute, or a path
   * @returns the status, and `location` as a path
   */
  async send(
    method: string,
    url: string,
    { body, type = 'application/octet-stream', expect }: Sent = {},
  ): Promise<{ status: number; location: string }> {
    const headers = { 'Content-Length': body?.length ?? 0, ...(body && { 'Content-Type': type }) };
    const sent = request(new URL(url, `http://${this.#host}`), { method, headers, agent: this.#agent });
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.resume();
    await once(response, 'end');
    const status = response.statusCode ?? 0;
    if (expect !== undefined && status !== expect) throw new Error(`${method} ${url}: ${status}`);
    const { pathname, search } = new URL(response.headers.location ?? '/', `http://${this.#host}`);
    return { status, location: `${pathname}${search}` };
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Authority } from '../certificates.ts';

/**
 * A stand-in for the workload API of IoT Edge's daemon, on a Unix socket: the trust bundle, signatures with the key of
 * the module, and server certificates, each for one name.
 */
export class WorkloadApi implements AsyncDisposable {
  /** Environment that edgeAgent sets for the module, with `IOTEDGE_PARENTHOSTNAME` if there is a device above. */
  readonly env: NodeJS.ProcessEnv;
  /** Names for which certificates were requested, in order. */
  readonly requestedNames: string[] = [];
  /** All requests are answered 503. */
  away = false;
  /** If false, requests for signatures are answered 500. */
  signs = true;
  /** Number of next requests that are closed without an answer, as the daemon does above ten at a time. */
  closes = 0;
  /** Requests are not answered. */
  hangs = false;
  /** The answer to all requests, if set. */
  fixedAnswer: string | undefined;
  requests = 0;
  /** Signed texts, in order. */
  readonly signed: string[] = [];
  /** Key of the module. */
  readonly key: Buffer;
  readonly #server: Server;
  readonly #folder: string;

  static async start(
    authority: Authority,
    more: NodeJS.ProcessEnv = {},
    key: Buffer = randomBytes(32),
  ): Promise<WorkloadApi> {
    const folder = await mkdtemp(join(tmpdir(), 'terrace-workload-'));
    const api = new WorkloadApi(authority, folder, more, key);
    await new Promise<void>((resolve) => api.#server.listen(join(folder, 'sock'), resolve));
    return api;
  }

  private constructor(authority: Authority, folder: string, more: NodeJS.ProcessEnv, key: Buffer) {
    this.#folder = folder;
    this.key = key;
    this.env = {
      IOTEDGE_WORKLOADURI: `unix://${join(folder, 'sock')}`,
      IOTEDGE_MODULEID: 'terrace',
      IOTEDGE_MODULEGENERATIONID: 'g1',
      IOTEDGE_DEVICEID: 'device',
      IOTEDGE_IOTHUBHOSTNAME: 'hub.example',
      IOTEDGE_GATEWAYHOSTNAME: 'localhost',
      ...more,
    };
    this.#server = createServer(async (request, response) => {
      const reply = (status: number, body: object) => response.writeHead(status).end(JSON.stringify(body));
      this.requests += 1;
      if (this.closes > 0) {
        this.closes -= 1;
        return request.socket.destroy();
      }
      if (this.hangs) return;
      if (this.fixedAnswer !== undefined) return response.end(this.fixedAnswer);
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://workload');
      if (this.away) return reply(503, { message: 'away' });
      if (!((searchParams.get('api-version') ?? '') >= '2018-06-28'))
        return reply(400, { message: 'version' });
      if (pathname === '/trust-bundle') {
        return reply(200, { certificate: await readFile(authority.certificate, 'utf8') });
      }
      const [, operation] = /^\/modules\/terrace\/genid\/g1\/(.+)$/.exec(pathname) ?? [];
      if (!operation) return reply(403, { message: 'Forbidden' });
      const body = (await new Response(request as never).json()) as { commonName: string; data: string };
      if (operation === 'sign') {
        if (!this.signs) return reply(500, { message: 'the keys are not there' });
        const data = Buffer.from(body.data, 'base64');
        this.signed.push(data.toString());
        return reply(200, { digest: createHmac('sha256', this.key).update(data).digest('base64') });
      }
      const { commonName } = body;
      this.requestedNames.push(commonName);
      const { certificateFile, keyFile } = await authority.issue(commonName, { days: 30 });
      const [certificate, key] = await Promise.all([
        readFile(certificateFile, 'utf8'),
        readFile(keyFile, 'utf8'),
      ]);
      const expiration = new Date(Date.now() + 30 * 86_400_000).toISOString();
      return reply(201, { privateKey: { type: 'key', bytes: key }, certificate, expiration });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Authority } from './certificates.ts';

/**
 * What of IoT Edge's workload API a registry needs for TLS, on a socket: the trust bundle, and certificates for
 * servers, each for one name. Faults: away (503).
 */
export class WorkloadApi implements AsyncDisposable {
  /** What edgeAgent gives to the module, and `IOTEDGE_PARENTHOSTNAME` where there is a device above. */
  readonly env: NodeJS.ProcessEnv;
  /** Names that certificates were asked for, in order. */
  readonly asked: string[] = [];
  away = false;
  readonly #server: Server;
  readonly #folder: string;

  static async start(authority: Authority, more: NodeJS.ProcessEnv = {}): Promise<WorkloadApi> {
    const folder = await mkdtemp(join(tmpdir(), 'terrace-workload-'));
    const api = new WorkloadApi(authority, folder, more);
    await new Promise<void>((resolve) => api.#server.listen(join(folder, 'sock'), resolve));
    return api;
  }

  private constructor(authority: Authority, folder: string, more: NodeJS.ProcessEnv) {
    this.#folder = folder;
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
      const say = (status: number, body: object) => response.writeHead(status).end(JSON.stringify(body));
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://workload');
      if (this.away) return say(503, { message: 'away' });
      if (!((searchParams.get('api-version') ?? '') >= '2018-06-28')) return say(400, { message: 'version' });
      if (pathname === '/trust-bundle') {
        return say(200, { certificate: await readFile(authority.certificate, 'utf8') });
      }
      if (pathname !== '/modules/terrace/genid/g1/certificate/server')
        return say(403, { message: 'Forbidden' });
      const { commonName } = (await new Response(request as never).json()) as { commonName: string };
      this.asked.push(commonName);
      const { certificateFile, keyFile } = await authority.issue(commonName, { days: 30 });
      const [certificate, key] = await Promise.all([
        readFile(certificateFile, 'utf8'),
        readFile(keyFile, 'utf8'),
      ]);
      const expiration = new Date(Date.now() + 30 * 86_400_000).toISOString();
      return say(201, { privateKey: { type: 'key', bytes: key }, certificate, expiration });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { Aedes, type AedesPublishPacket, type Client } from 'aedes';
import { Authority } from '../support/certificates.ts';

type Properties = Record<string, unknown>;
export type Answer = { status: number; payload: never };

const HUB = 'hub.example';
const DEVICE = 'device';
const MODULE = 'terrace';

/**
 * What a module needs of IoT Edge, and no more: trust bundle and signatures of the daemon, and of edgeHub the module's
 * twin and direct methods, over TLS, for whoever signs well.
 */
export class SmallHub implements AsyncDisposable {
  /** For the module. */
  env: NodeJS.ProcessEnv = {};
  /** What the module reported, all of it. */
  reported: Properties = {};
  readonly #key = randomBytes(32);
  readonly #stack: AsyncDisposableStack;
  #desired: Properties = {};
  #version = 1;
  #broker!: Aedes;
  #server!: TlsServer;
  readonly #answers = new Map<string, (answer: Answer) => void>();
  #calls = 0;

  static async start(desired: Properties): Promise<SmallHub> {
    await using stack = new AsyncDisposableStack();
    const authority = stack.use(await Authority.create());
    const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'terrace-hub-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    const tls = await authority.issue('hub');
    const certificate = await readFile(authority.certificate, 'utf8');
    const pair = { cert: await readFile(tls.certificateFile), key: await readFile(tls.keyFile) };
    const socket = join(folder, 'workload.sock');
    const hub = new SmallHub(desired, stack.move());
    await hub.#serve(pair, certificate, socket);
    return hub;
  }

  private constructor(desired: Properties, stack: AsyncDisposableStack) {
    this.#desired = desired;
    this.#stack = stack;
  }

  async #serve(pair: { cert: Buffer; key: Buffer }, certificate: string, socket: string): Promise<void> {
    const workload = this.#workload(certificate).listen(socket);
    await once(workload, 'listening');
    this.#stack.defer(() => void workload.close());
    this.#broker = await Aedes.createBroker({
      authenticate: (_client, _name, password, done) => done(null, this.#isSigned(String(password))),
    });
    this.#stack.defer(() => new Promise((resolve) => this.#broker.close(() => resolve())));
    this.#broker.on('publish', (packet, client) => void (client && this.#heard(packet, client)));
    this.#server = createTlsServer(pair, (stream) => this.#broker.handle(stream)).listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#stack.defer(() => void this.#server.close());
    this.env = {
      IOTEDGE_WORKLOADURI: `unix://${socket}`,
      IOTEDGE_MODULEID: MODULE,
      IOTEDGE_MODULEGENERATIONID: '1',
      IOTEDGE_DEVICEID: DEVICE,
      IOTEDGE_IOTHUBHOSTNAME: HUB,
      IOTEDGE_GATEWAYHOSTNAME: `localhost:${(this.#server.address() as AddressInfo).port}`,
    };
  }

  #workload(certificate: string): Server {
    return createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const sign = () => {
        const { data } = JSON.parse(Buffer.concat(parts).toString()) as { data: string };
        return { digest: this.#digest(Buffer.from(data, 'base64')) };
      };
      const answer = request.url?.startsWith('/trust-bundle') ? { certificate } : sign();
      response.end(JSON.stringify(answer));
    });
  }

  #digest = (data: Buffer | string) => createHmac('sha256', this.#key).update(data).digest('base64');

  #isSigned(password: string): boolean {
    const fields = new URLSearchParams(password.replace(/^SharedAccessSignature /, ''));
    const [sr, until] = [encodeURIComponent(fields.get('sr') ?? ''), fields.get('se')];
    const own = encodeURIComponent(`${HUB}/devices/${DEVICE}/modules/${MODULE}`);
    return sr === own && fields.get('sig') === this.#digest(`${sr}\n${until}`);
  }

  #heard({ topic, payload }: AedesPublishPacket, client: Client): void {
    const id = /\$rid=([^&]+)/.exec(topic)?.[1] ?? '';
    const text = payload.toString();
    if (topic.startsWith('$iothub/twin/GET/')) {
      const desired = { ...this.#desired, $version: this.#version };
      const twin = JSON.stringify({ desired, reported: this.reported });
      this.#say(client, `$iothub/twin/res/200/?$rid=${id}`, twin);
    } else if (topic.startsWith('$iothub/twin/PATCH/properties/reported/')) {
      this.reported = merge(this.reported, JSON.parse(text) as Properties);
      this.#say(client, `$iothub/twin/res/204/?$rid=${id}`, '');
    } else if (topic.startsWith('$iothub/methods/res/')) {
      const status = Number(/\/res\/(\d+)\//.exec(topic)?.[1]);
      this.#answers.get(id)?.({ status, payload: JSON.parse(text) as never });
    }
  }

  #say(client: Client, topic: string, payload: string): void {
    client.publish({ cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false }, () => {});
  }

  #broadcast(topic: string, payload: string): void {
    this.#broker.publish({ cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false }, () => {});
  }

  /** Other desired properties, in place of all before. @returns their version */
  desire(desired: Properties): number {
    this.#desired = desired;
    this.#version += 1;
    const topic = `$iothub/twin/PATCH/properties/desired/?$version=${this.#version}`;
    this.#broadcast(topic, JSON.stringify({ ...desired, $version: this.#version }));
    return this.#version;
  }

  async call(name: string, payload: unknown = null, withinMs = 30_000): Promise<Answer> {
    this.#calls += 1;
    const id = String(this.#calls);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#answers.set(id, resolve);
    const late = setTimeout(() => reject(new Error(`${name} was not answered`)), withinMs);
    this.#broadcast(`$iothub/methods/POST/${name}/?$rid=${id}`, JSON.stringify(payload));
    try {
      return await promise;
    } finally {
      clearTimeout(late);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** As a twin merges a patch. */
function merge(before: unknown, patch: Properties): Properties {
  const merged = { ...(typeof before === 'object' ? (before as Properties) : {}) };
  for (const [key, value] of Object.entries(patch)) {
    const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (value === null) delete merged[key];
    else merged[key] = isMapping ? merge(merged[key], value as Properties) : value;
  }
  return merged;
}

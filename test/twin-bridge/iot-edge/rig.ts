import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fault } from '#proto/fault.ts';
import type { Workload } from '#proto/workload.ts';
import type { Timing } from '../../../services/twin-bridge/iot-edge/timing.ts';
import { startTwin } from '../../../services/twin-bridge/iot-edge/twin.ts';
import type { Method } from '../../../services/twin-bridge/methods/method.ts';
import type { ModuleTwin } from '../../../services/twin-bridge/module.ts';
import type { Found } from '../../../services/twin-bridge/source.ts';
import { Authority } from '../../support/certificates.ts';
import { EdgeHub } from '../../support/edge-hub.ts';

const IDENTITY = { hub: 'hub.example', device: 'device', module: 'terrace' };
/** So short that a test can wait for all of it; the order of one to another is as in a real module. */
const FAST: Timing = {
  token: 60_000,
  margin: 15_000,
  connect: 5_000,
  keepalive: 60_000,
  reply: 5_000,
  resync: 60_000,
  debounce: 20,
  method: 5_000,
  leastPause: 20,
  mostPause: 200,
};

/** One edgeHub for a file of tests. */
export class Edge implements AsyncDisposable {
  readonly hub: EdgeHub;
  readonly authority: Authority;
  readonly key: Buffer;

  static async start(): Promise<Edge> {
    const authority = await Authority.create();
    const key = randomBytes(32);
    return new Edge(authority, key, await EdgeHub.start(authority, key, IDENTITY));
  }

  private constructor(authority: Authority, key: Buffer, hub: EdgeHub) {
    this.authority = authority;
    this.key = key;
    this.hub = hub;
  }

  async module(options: ModuleOptions = {}): Promise<Module> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'terrace-twin-')));
    return new Module(this, folder, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hub[Symbol.asyncDispose]();
    await this.authority[Symbol.asyncDispose]();
  }
}

export type ModuleOptions = {
  timing?: Partial<Timing>;
  methods?: Record<string, Method>;
  /** A data folder, which stays. */
  folder?: string;
  /** PEM, in place of the hub's own authority. */
  trust?: string;
  /** Whether a document is in force. */
  accepts?: (found: Found) => boolean;
};

/** A module with its twin, until it is disposed of. */
export class Module implements AsyncDisposable {
  readonly twin: ModuleTwin;
  readonly folder: string;
  /** Documents that were told, in order. */
  readonly found: Found[] = [];
  readonly lines: string[] = [];
  /** The daemon does not sign. */
  signs = true;
  signatures = 0;
  readonly #stays: boolean;

  constructor(
    edge: Edge,
    folder: string,
    { timing, methods = {}, trust, accepts = () => true, ...options }: ModuleOptions,
  ) {
    this.folder = folder;
    this.#stays = options.folder !== undefined;
    const say = (level: string) => (fields: object, message: string) =>
      void this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    const workload: Workload = {
      identity: { ...IDENTITY, generation: '1', gateway: `localhost:${edge.hub.port}` },
      trustBundle: async () => trust ?? readFile(edge.authority.certificate, 'utf8'),
      sign: async (text) => {
        if (!this.signs) throw new Fault('unavailable', "IoT Edge's workload API is not there");
        this.signatures += 1;
        return createHmac('sha256', edge.key).update(text).digest('base64');
      },
      serverCertificate: () => Promise.reject(new Error('not asked for')),
    };
    this.twin = startTwin({
      workload,
      dataFolder: folder,
      methods: new Map(Object.entries(methods)),
      log: { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
      timing: { ...FAST, ...timing },
    });
    this.twin.watch((found) => {
      this.found.push(found);
      return accepts(found);
    });
  }

  /** The document told last. */
  get document(): unknown {
    const last = this.found.at(-1);
    return last && 'text' in last ? JSON.parse(last.text) : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.twin[Symbol.asyncDispose]();
    if (!this.#stays) await rm(this.folder, { recursive: true, force: true });
  }
}

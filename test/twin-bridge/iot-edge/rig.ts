import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Workload, workloadOf } from '#proto/iot-edge/workload.ts';
import type { ModuleTwin } from '../../../services/twin-bridge/iot-edge/module-twin.ts';
import type { Timing } from '../../../services/twin-bridge/iot-edge/timing.ts';
import { startTwin } from '../../../services/twin-bridge/iot-edge/twin.ts';
import type { DirectMethod } from '../../../services/twin-bridge/methods/method.ts';
import type { SourceState } from '../../../services/twin-bridge/source/source.ts';
import { Authority } from '../../support/certificates.ts';
import { EdgeHub } from '../../support/iot-edge/edge-hub.ts';
import { WorkloadApi } from '../../support/iot-edge/workload-api.ts';

const IDENTITY = { hub: 'hub.example', device: 'device', module: 'terrace' };
/** Short enough for tests; the order of the times is as in a real module. */
const FAST: Timing = {
  tokenMs: 60_000,
  marginMs: 15_000,
  connectMs: 5_000,
  keepaliveMs: 60_000,
  replyMs: 5_000,
  resyncMs: 60_000,
  debounceMs: 20,
  methodMs: 5_000,
  minBackoffMs: 20,
  maxBackoffMs: 200,
};

/** One device for a test file: its edgeHub and its daemon. */
export class Edge implements AsyncDisposable {
  readonly hub: EdgeHub;
  readonly authority: Authority;
  readonly daemon: WorkloadApi;

  static async start(): Promise<Edge> {
    const authority = await Authority.create();
    const daemon = await WorkloadApi.start(authority);
    return new Edge(authority, daemon, await EdgeHub.start(authority, daemon.key, IDENTITY));
  }

  private constructor(authority: Authority, daemon: WorkloadApi, hub: EdgeHub) {
    this.authority = authority;
    this.daemon = daemon;
    this.hub = hub;
  }

  /** Environment of a module. */
  get env(): NodeJS.ProcessEnv {
    return { ...this.daemon.env, IOTEDGE_GATEWAYHOSTNAME: `localhost:${this.hub.port}` };
  }

  async module(options: ModuleOptions = {}): Promise<Module> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'terrace-twin-')));
    const trusted = options.trust && (await WorkloadApi.start(options.trust, {}, this.daemon.key));
    const workload = workloadOf(
      { ...this.env, ...(trusted && { IOTEDGE_WORKLOADURI: trusted.env.IOTEDGE_WORKLOADURI }) },
      { attempts: 2, pause: 10 },
    );
    return new Module(workload as Workload, folder, options, trusted || undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hub[Symbol.asyncDispose]();
    await this.daemon[Symbol.asyncDispose]();
    await this.authority[Symbol.asyncDispose]();
  }
}

export type ModuleOptions = {
  timing?: Partial<Timing>;
  methods?: Record<string, DirectMethod>;
  /** A data folder, which is not deleted at the end. */
  folder?: string;
  /** In place of the hub's own authority. */
  trust?: Authority;
  /** Whether a document is in force. */
  accepts?: (document: SourceState) => boolean;
};

/** A module with its twin, until it is disposed of. */
export class Module implements AsyncDisposable {
  readonly twin: ModuleTwin;
  readonly folder: string;
  /** Documents that the twin passed on, in order. */
  readonly documents: SourceState[] = [];
  readonly lines: string[] = [];
  readonly #retainsFolder: boolean;

  readonly #daemon: AsyncDisposable | undefined;

  constructor(
    workload: Workload,
    folder: string,
    { timing, methods = {}, accepts = () => true, ...options }: ModuleOptions,
    daemon: AsyncDisposable | undefined,
  ) {
    this.#daemon = daemon;
    this.folder = folder;
    this.#retainsFolder = options.folder !== undefined;
    const logLine = (level: string) => (fields: object, message: string) =>
      void this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    this.twin = startTwin({
      workload,
      dataFolder: folder,
      methods: new Map(Object.entries(methods)),
      log: { debug: logLine('debug'), info: logLine('info'), warn: logLine('warn'), error: logLine('error') },
      timing: { ...FAST, ...timing },
    });
    this.twin.watch((document) => {
      this.documents.push(document);
      return accepts(document);
    });
  }

  /** The last document that the twin passed on. */
  get document(): unknown {
    const last = this.documents.at(-1);
    return last && 'text' in last ? JSON.parse(last.text) : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.twin[Symbol.asyncDispose]();
    await this.#daemon?.[Symbol.asyncDispose]();
    if (!this.#retainsFolder) await rm(this.folder, { recursive: true, force: true });
  }
}

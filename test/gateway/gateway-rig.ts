import { equal } from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { Volume } from '#proto/volume/volume.ts';
import { type AppOptions, buildApp, closeApp } from '../../services/gateway/app.ts';
import type { Gateway, RouteTimes } from '../../services/gateway/routes/resource.ts';
import { TestBus } from '../support/bus.ts';
import { patience } from '../support/until.ts';
import { hostStorage, type RigStorage, spawnService, spawnStorage } from './rig-storage.ts';

/**
 * A nats-server with a temporary folder, and storage and a gateway in this process, on a free port; `apart`: storage in
 * a process of its own, which can be killed.
 */
export class GatewayRig implements AsyncDisposable {
  readonly testBus: TestBus;
  readonly data: string;
  bus!: Bus;
  app!: FastifyInstance;
  gateway!: Gateway;
  port = 0;
  mode: Mode | undefined = 'ReadWrite';
  configuration: Configuration | undefined;
  /** Entries of the gateway's log. */
  readonly logged: ({ message: string } & Record<string, unknown>)[] = [];
  readonly #isApart: boolean;
  readonly #options: Pick<AppOptions, 'times' | 'now'>;
  #storage: RigStorage | undefined;

  static async start(
    times: Partial<RouteTimes> = {},
    { apart = false, now = Date.now }: { apart?: boolean; now?: () => number } = {},
  ): Promise<GatewayRig> {
    const [testBus, data] = await Promise.all([TestBus.start(), mkdtemp(join(tmpdir(), 'terrace-gateway-'))]);
    const layer = new GatewayRig(testBus, data, apart, { times, now });
    layer.bus = await testBus.connect('gateway');
    await layer.storageUp();
    const { app, gateway, port } = await layer.#listen(layer.bus);
    layer.app = app;
    layer.gateway = gateway;
    layer.port = port;
    return layer;
  }

  private constructor(
    testBus: TestBus,
    data: string,
    isApart: boolean,
    options: Pick<AppOptions, 'times' | 'now'>,
  ) {
    this.#isApart = isApart;
    this.#options = options;
    this.testBus = testBus;
    this.data = data;
  }

  async #listen(bus: Bus): Promise<{ app: FastifyInstance; gateway: Gateway; port: number }> {
    const built = buildApp({
      bus,
      volume: new Volume(this.data),
      instance: 'gateway-test',
      mode: () => this.mode,
      configuration: () => this.configuration,
      open: true,
      openOperate: true,
      log: this.#log(),
      ...this.#options,
    });
    await built.app.listen({ host: '127.0.0.1', port: 0 });
    return { ...built, port: (built.app.server.address() as { port: number }).port };
  }

  /** Another gateway of the layer, with a connection of its own. */
  async another(): Promise<{ url: string; port: number } & AsyncDisposable> {
    const bus = await this.testBus.connect('gateway');
    const { app, gateway, port } = await this.#listen(bus);
    return {
      url: `http://127.0.0.1:${port}`,
      port,
      [Symbol.asyncDispose]: async () => {
        await closeApp(app, gateway);
        await bus[Symbol.asyncDispose]();
      },
    };
  }

  #log(): Log {
    const write = (fields: object, message: string) => void this.logged.push({ ...fields, message });
    return { debug: write, info: write, warn: write, error: write };
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  spawn(service: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
    return spawnService(this, service, env);
  }

  async storageUp(): Promise<void> {
    this.#storage = this.#isApart ? spawnStorage(this) : await hostStorage(this);
    await this.bus.call(missingBlobs, { digests: [] }, { patience: patience() });
  }

  /** Kills it with SIGKILL. */
  async storageDown(): Promise<void> {
    if (!this.#storage?.kill) throw new Error('only storage in a process of its own can be killed');
    await this.#storage.kill();
    this.#storage = undefined;
  }

  /** Paths of the gateway's routes, with their parameters. */
  get routes(): string[] {
    const stack: string[] = [];
    const tree = this.app.printRoutes({ commonPrefix: false }).split('\n').filter(Boolean);
    return tree.map((line) => {
      const [, indent = '', part = ''] = /^([│ ├└─]*)(\S+)/.exec(line) ?? [];
      stack.splice(indent.length / 4 - 1);
      stack.push(part);
      return stack.join('');
    });
  }

  /** Sends a request to this gateway. */
  fetch(
    method: string,
    path: string,
    init: { headers?: Record<string, string>; body?: string | Uint8Array } = {},
  ): Promise<Response> {
    return fetch(new URL(path, this.url), { method, redirect: 'manual', ...init } as RequestInit);
  }

  /** Pushes a blob in one request. @returns its digest */
  async blob(repository: string, bytes: Uint8Array | string): Promise<string> {
    const digest = sha256(bytes);
    const { status } = await this.fetch('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, {
      body: bytes,
    });
    equal(status, 201);
    return digest;
  }

  /** Begins an upload. @returns its path */
  async upload(repository: string): Promise<string> {
    const response = await this.fetch('POST', `/v2/${repository}/blobs/uploads/`);
    equal(response.status, 202);
    return response.headers.get('location') ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeApp(this.app, this.gateway);
    await this.#storage?.[Symbol.asyncDispose]();
    await this.testBus[Symbol.asyncDispose]();
    await rm(this.data, { recursive: true, force: true });
  }
}

export const sha256 = (bytes: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
export const sha512 = (bytes: Uint8Array | string): string =>
  `sha512:${createHash('sha512').update(bytes).digest('hex')}`;

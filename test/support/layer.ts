import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Static, TSchema } from '@sinclair/typebox';
import type { Bus } from '#proto/bus/bus.ts';
import { SIGN_OF_LIFE_MS, SILENCE_MS } from '#proto/bus/calls.ts';
import type { Event } from '#proto/contract/contract.ts';
import type { ReceivedEvent } from '#proto/contract/envelope.ts';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { connectOperator } from '../../cli/connection/connect.ts';
import { anyEvent, type FollowOptions, followPass } from '../../cli/connection/follow-pass.ts';
import { resolveConfiguration } from '../../cli/input/options.ts';
import { type Layer, startLayer } from '../../cli/layer/layer.ts';
import { freePort } from './ports.ts';
import { patience, patienceSignal, until } from './until.ts';

export type TestLayerOptions = {
  /** URL, or the complete `parent` of a document. */
  parent?: string | NonNullable<Overrides['parent']>;
  /** Patterns, or the complete `repositories` of a document. */
  repositories?: NonNullable<Overrides['repositories']>;
  mode?: 'ReadWrite' | 'ReadOnly';
  syncers?: number;
  connections?: number;
  /** Without it, no pass begins by schedule. `file`: the schedule of the configuration file. */
  schedule?: string;
  window?: string;
  eventTtl?: string;
  bandwidth?: NonNullable<Overrides['bandwidth']>;
  conflict?: 'parent-wins' | 'layer-wins';
  notifications?: NonNullable<Overrides['notifications']>;
  delta?: NonNullable<Overrides['delta']>;
  tls?: NonNullable<Overrides['tls']>;
  loginServer?: string;
  trustedProxies?: string[];
  challenge?: 'Bearer' | 'Basic';
  name?: string;
  logLevel?: 'debug' | 'info' | 'warn' | 'error';
  /** Data folder, which is kept. Without it, a temporary folder that is deleted with the layer. */
  data?: string;
  configFile?: string;
  /** All services in one process. `hosted`: in that of the test; no process of the layer may be killed or measured. */
  compact?: boolean | 'hosted';
  /** Added to the environment of this process. */
  env?: NodeJS.ProcessEnv;
};

/** Once a year: during a test, no pass begins by schedule. */
const YEARLY = '0 0 1 1 *';

/** Starts a layer with all its child processes on free ports. Resolves when all services serve. */
export async function testLayer(options: TestLayerOptions = {}): Promise<TestLayer> {
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'terrace-layer-')));
  const layer = new TestLayer(options, data, `127.0.0.1:${await freePort()}`);
  await layer.start();
  return layer;
}

export class TestLayer implements AsyncDisposable {
  readonly data: string;
  /** `127.0.0.1:port` */
  readonly host: string;
  readonly url: string;
  /** All events received since the start, in order. */
  readonly events: ReceivedEvent<unknown>[] = [];
  /** Log of all processes, as JSON lines. */
  readonly lines: string[] = [];
  /** Output for the terminal. */
  readonly terminal: string[] = [];
  readonly #options: TestLayerOptions;
  #layer: Layer | undefined;
  #bus: Bus | undefined;
  #waiting = new Set<() => void>();

  constructor(options: TestLayerOptions, data: string, host: string) {
    this.#options = options;
    this.data = data;
    this.host = host;
    this.url = `${options.tls ? 'https' : 'http'}://${host}`;
  }

  async start(): Promise<void> {
    const { parent, data: _data, configFile, compact, env, schedule = YEARLY, ...fields } = this.#options;
    const overrides: Overrides = {
      ...fields,
      ...(schedule !== 'file' && { schedule }),
      listen: this.host,
      ...(parent && { parent: typeof parent === 'string' ? { url: parent } : parent }),
    };
    const text = configFile && (await readFile(configFile, 'utf8'));
    const { configuration, accounts } = resolveConfiguration(
      { data: this.data, ...(configFile && { config: configFile }) },
      overrides,
      text,
      { readable: () => true },
    );
    const { NODE_TEST_CONTEXT: _context, ...inherited } = process.env;
    this.#layer = await startLayer({
      data: this.data,
      configuration,
      overrides,
      configFile,
      compact: compact !== undefined && compact !== false,
      ...(compact === 'hosted' && { programs: (await import('./hosted-programs.ts')).hostedPrograms }),
      awaitToken: accounts.length > 0,
      outlets: { line: (line) => this.lines.push(line), terminal: (text) => this.terminal.push(text) },
      env: { ...inherited, ...env },
    });
    try {
      this.#bus = await connectOperator(this.data, 'terrace-test', {
        limits: { signOfLifeMs: SIGN_OF_LIFE_MS, silenceMs: patience(SILENCE_MS) },
      });
      this.#bus.listen(anyEvent, (event) => {
        this.events.push(event);
        for (const wake of this.#waiting) wake();
      });
      await this.#layer.ready(patienceSignal());
    } catch (cause) {
      const log = this.lines.slice(-20).join('\n');
      await this.stop();
      throw new Error(`the layer did not become ready; end of its log:\n${log}`, { cause });
    }
  }

  /** The operator's connection, closed with the layer. */
  bus(): Bus {
    if (!this.#bus) throw new Error('the layer does not run');
    return this.#bus;
  }

  /** The first event of this type that satisfies the predicate, received before or within `withinMs`. */
  async event<T extends TSchema>(
    type: Event<T>,
    predicate: (data: Static<T>) => boolean = () => true,
    withinMs?: number,
  ): Promise<Static<T>> {
    const matches = (event: ReceivedEvent<unknown>) =>
      event.type === `terrace.${type.type}` && predicate(event.data as Static<T>);
    const timeout = patienceSignal(withinMs);
    for (;;) {
      const found = this.events.find(matches);
      if (found) return found.data as Static<T>;
      if (timeout.aborted)
        throw new Error(
          `no matching ${type.type} within ${patience(withinMs)} ms; received:\n${this.#received()}`,
        );
      await this.#nextEvent(timeout);
    }
  }

  #nextEvent(timeout: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        timeout.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      timeout.addEventListener('abort', wake);
    });
  }

  #received(): string {
    const lines = this.events.map(({ type, data }) => `  ${type} ${JSON.stringify(data)}`);
    return lines.slice(-60).join('\n') || '  nothing';
  }

  /** Requests a pass and waits for its end. */
  sync(options: FollowOptions = {}): Promise<PassResult> {
    return followPass(this.bus(), options);
  }

  /** Pids by program: gateway, storage, twin-bridge, syncer-1 …, nats-server; if compact: layer, nats-server. */
  pids(): Record<string, number> {
    return this.#layer?.pids() ?? {};
  }

  pid(program: string): number {
    const pid = this.pids()[program];
    if (pid === undefined) throw new Error(`${program} does not run`);
    if (pid === process.pid) throw new Error(`${program} runs in the process of the test`);
    return pid;
  }

  /** SIGKILL. Does not wait until the supervisor has restarted the program. */
  killWithoutWaiting(program: string): void {
    process.kill(this.pid(program), 'SIGKILL');
  }

  /** SIGKILL. Resolves when the restarted program serves. */
  async kill(program: string): Promise<void> {
    const before = this.pid(program);
    process.kill(before, 'SIGKILL');
    await until(() => (this.pids()[program] ?? before) !== before, `${program} has been restarted`);
    await this.#layer?.ready(patienceSignal());
  }

  /** Resident memory of a program's process, in bytes: now, and its maximum so far. */
  async memory(program: string): Promise<{ now: number; highest: number }> {
    const status = await readFile(`/proc/${this.pid(program)}/status`, 'utf8');
    const bytes = (field: string) =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
    return { now: bytes('VmRSS'), highest: bytes('VmHWM') };
  }

  /** Stops the layer gracefully and keeps its data. */
  async stop(): Promise<void> {
    await this.#bus?.[Symbol.asyncDispose]();
    this.#bus = undefined;
    await this.#layer?.stop();
    this.#layer = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    // Hosted services may finish writing a file after they have ended.
    if (!this.#options.data) await rm(this.data, { recursive: true, force: true, maxRetries: 10 });
  }
}

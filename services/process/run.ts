import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { safeJson } from '#proto/contract/terminal-text.ts';
import type { ServiceName } from '#proto/contract/users.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { setAddressTimeout } from '#proto/process/address-timeout.ts';
import { releaseMemory } from '#proto/process/release-memory.ts';
import { EXIT_UNUSABLE, stopMsOf, type Unrecoverable } from '#proto/process/supervision.ts';
import { version } from '#proto/process/version.ts';
import { alive, HEARTBEAT_MS, type ServiceStatus, serviceStatus } from '#proto/status/status.ts';
import { busPassword } from '#proto/volume/layout.ts';
import { Health } from './health.ts';
import { describeError } from './log-error.ts';
import { type ReadServiceMetrics, serveMetrics } from './process-metrics.ts';
import { startTraces } from './traces.ts';
import { watchLoop } from './watchdog.ts';

/**
 * How a process of a layer lives. Each service is a `Main`; `run` starts one or several of them in one process.
 *
 * Per service, `runService` connects to the bus, answers health checks (health.ts), writes a heartbeat, applies the
 * configured log level and calls `main`, which runs until its signal aborts. The process stops on SIGTERM, on SIGINT,
 * when its supervisor ends, or when any of its services ends, by a failure or not. Storage stops last. A process that
 * does not stop in time exits with code 1; one whose event loop is stuck is killed (watchdog.ts, watchdog-thread.ts).
 * proto/process/ has the part that supervisors share.
 */

/** What a process passes to the `main` of a service. */
export type Context = {
  service: ServiceName;
  /** Unique per start of a process. */
  instance: string;
  /** Name of the layer. */
  layer: string;
  /** Absolute path of the data volume. */
  data: string;
  bus: Bus;
  log: Logger;
  /** Aborts when the service is to stop. */
  signal: AbortSignal;
  env: NodeJS.ProcessEnv;
  /** To be called once the service serves: health checks fail until then. */
  serves: () => void;
  /** To be called with the reason while it can not serve, for who checks its health: one line. */
  waits: (reason: string) => void;
  /** Adds to the heartbeat of the service, at each beat. */
  describe: (read: () => Description) => void;
  /** Adds what the service counts to the metrics of its process. */
  measure: (read: ReadServiceMetrics) => void;
};

/** What a service says of itself in its heartbeat. */
type Description = Pick<ServiceStatus, 'open' | 'certificateEnds'>;

export type Main = (context: Context) => Promise<void>;

/** A process is idle after `ms` in which it used less than `share` of that as CPU time. */
const IDLE = { share: 0.1, ms: 5_000 };

/** Time for the last steps of a process, after its services and its traces have ended, in ms. */
const LAST_STEPS_MS = 200;

/** The service that the others depend on. It stops once they have, or after half of the stop time. */
const FOUNDATION: ServiceName = 'storage';

/**
 * Runs services in this process until all have ended. Settings are read from the environment
 * (proto/process/environment.ts); the log goes to stdout.
 */
export async function run(services: Partial<Record<ServiceName, Main>>): Promise<void> {
  const { env } = process;
  // Metadata has keys and password hashes, and content is private too.
  process.umask(0o077);
  setAddressTimeout();
  const names = Object.keys(services) as ServiceName[];
  const layer = env.TERRACE_NAME ?? 'layer';
  const logger = pino({
    level: env.TERRACE_LOG ?? 'info',
    base: { layer, pid: process.pid },
    serializers: { err: describeError },
    // Container engines write the log to a terminal as it is.
    hooks: { streamWrite: safeJson },
  });
  const log = logger.child({ service: names.length === 1 ? names[0] : 'layer' });
  const stopMs = stopMsOf(env);
  let stoppedAt = 0;
  const end = new AbortController();
  const foundationEnd = new AbortController();
  const stop = (why: string) => {
    if (end.signal.aborted) return;
    log.info({ why }, 'stopping');
    stoppedAt = performance.now();
    end.abort(new Error(why));
    setTimeout(() => {
      log.error({}, 'did not stop in time');
      process.exit(1);
    }, stopMs).unref();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal));
  // The IPC channel closes when the supervisor ends, however it ends.
  process.on('disconnect', () => stop('the supervisor exited'));
  const fatal = (err: unknown) => {
    log.fatal({ err }, 'unhandled error');
    process.exitCode ??= 1;
    stop('failure');
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);

  // In place of Node, which writes them as text.
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => log.warn({ name }, message));

  releaseMemoryWhenIdle();
  watchLoop(log);
  const traces = await startTraces({ env, layer, service: log.bindings().service, log });

  const running = names.map(async (service) => {
    const { signal } = service === FOUNDATION ? foundationEnd : end;
    const serviceLog = logger.child({ service });
    try {
      return await runService(
        service,
        services[service] as Main,
        { layer, env, signal, log: serviceLog },
        stop,
      );
    } catch (err) {
      if (signal.aborted && err === signal.reason) return;
      if (Fault.is(err, 'volume-unusable')) {
        serviceLog.fatal({ code: err.code }, err.message);
        process.exitCode = EXIT_UNUSABLE;
        await reportUnrecoverable(err);
      } else {
        if (Fault.is(err)) serviceLog.fatal({ code: err.code }, err.message);
        else serviceLog.fatal({ err }, 'service failed');
        process.exitCode ??= 1;
      }
      stop(`${service} has failed`);
    }
  });
  const others = running.filter((_, index) => names[index] !== FOUNDATION);
  await ended(end.signal);
  await Promise.race([Promise.all(others), sleep(stopMs / 2, undefined, { ref: false })]);
  foundationEnd.abort(end.signal.reason);
  const isConnecting = (await Promise.all(running)).includes('never connected');
  const areTracesSent = (await traces?.end(stopMs - (performance.now() - stoppedAt) - LAST_STEPS_MS)) ?? true;
  // A pending connection attempt would keep the process alive, to the bus or to a collector.
  if (isConnecting || !areTracesSent) process.exit();
  // The IPC channel would keep the finished process alive.
  if (process.connected) process.disconnect();
}

/**
 * Runs one service, from its connection to the bus to its end.
 * @param stop stops the process; receives the reason
 * @returns `never connected` if the signal aborted before the bus was reached
 */
export async function runService(
  service: ServiceName,
  main: Main,
  { layer, env, signal, log }: Pick<Context, 'layer' | 'env' | 'signal' | 'log'>,
  stop: (why: string) => void,
): Promise<'never connected' | undefined> {
  const instance = `${service}-${hostname().toLowerCase()}-${process.pid}-${randomBytes(3).toString('hex')}`;
  const data = resolve(required(env, 'TERRACE_DATA'));
  const url = required(env, 'TERRACE_BUS');
  const password =
    env.TERRACE_BUS_PASSWORD ?? (await readFile(join(data, busPassword(service)), 'utf8')).trim();
  const connecting = Bus.connect({ url, user: service, password, layer, instance, log });
  const connected = await Promise.race([connecting, ended(signal)]);
  if (!(connected instanceof Bus)) return 'never connected';
  await using bus = connected;
  await using health = new Health({ service, data, bus, log });
  await health.start();
  const started = Date.now();
  using heartbeat = beat(bus, { service, instance, started }, log);
  const measure = serveMetrics(bus, service, instance, started);
  bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    if (value && !env.TERRACE_LOG) log.level = value.logLevel;
  });
  void bus.closed().then(() => stop('the bus is closed'));
  log.info({ data }, 'started');
  try {
    const { describe } = heartbeat;
    const serves = () => health.serves();
    const waits = (reason: string) => health.waits(reason);
    await main({ service, instance, layer, data, bus, log, signal, env, serves, waits, describe, measure });
  } finally {
    stop(`${service} has ended`);
  }
}

/** Reports to the supervisor that a restart does not help. */
async function reportUnrecoverable({ code, message }: Fault): Promise<void> {
  const report: Unrecoverable = { unrecoverable: { code, message } };
  if (process.connected) await new Promise<void>((resolve) => process.send?.(report, () => resolve()));
}

/** Resolves when the signal aborts. */
export async function ended(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

function required(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (!value) throw new Error(`the environment variable ${name} is not set`);
  return value;
}

function beat(
  bus: Bus,
  { service, instance, started }: Pick<Context, 'service' | 'instance'> & { started: number },
  log: Logger,
): Disposable & Pick<Context, 'describe'> {
  const about = { version: version() };
  let read = (): Description => ({});
  const status = () => ({
    service,
    instance,
    host: hostname(),
    pid: process.pid,
    started,
    memory: process.memoryUsage.rss(),
    ...about,
    ...read(),
  });
  bus.serve(alive[service], async () => status());
  // One at a time, so that the last one has the latest status.
  let isWriting = false;
  let isStale = false;
  const publish = () => {
    isStale = isWriting;
    if (isWriting) return;
    isWriting = true;
    bus
      .put(serviceStatus, instance, status())
      .catch((err) => log.debug({ err }, 'cannot write the heartbeat'))
      .finally(() => {
        isWriting = false;
        if (isStale) publish();
      });
  };
  publish();
  const timer = setInterval(publish, HEARTBEAT_MS).unref();
  return {
    describe(more) {
      read = more;
      publish();
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** Returns the memory that a start or a burst of work needed to the system as soon as the process is idle. */
function releaseMemoryWhenIdle(): void {
  let wasBusy = true;
  let last = process.cpuUsage();
  setInterval(() => {
    // CPU time, not wall time: on a busy machine, an idle process takes long for the little that it does.
    const { user, system } = process.cpuUsage(last);
    const isBusy = (user + system) / 1_000 >= IDLE.share * IDLE.ms;
    last = process.cpuUsage();
    if (!isBusy && wasBusy) releaseMemory();
    wasBusy = isBusy;
  }, IDLE.ms).unref();
}

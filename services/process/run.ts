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
import { EXIT_UNUSABLE, type Hopeless, stopMsOf } from '#proto/process/supervision.ts';
import { alive, HEARTBEAT_MS, serviceStatus } from '#proto/status/status.ts';
import { Health } from './health.ts';
import { watchLoop } from './watchdog.ts';

/** What a service gets from the process that it runs in. */
export type Context = {
  service: ServiceName;
  /** Unique for each process ever started. */
  instance: string;
  /** The name of the layer. */
  layer: string;
  /** The data volume, absolute. */
  data: string;
  bus: Bus;
  log: Logger;
  /** Aborts when the process is asked to end. */
  signal: AbortSignal;
  env: NodeJS.ProcessEnv;
  /** To be called when the service has begun to serve. */
  serves: () => void;
};

export type Main = (context: Context) => Promise<void>;

/** A process is at rest that worked for less than this part of so long, in ms. */
const REST = { share: 0.1, ms: 5_000 };

/** What the others stand on ends when they have, or after half of the time there is to end. */
const FOUNDATION: ServiceName = 'storage';

/**
 * The life of a process of one service, or of several together: settings from the environment, a log on stdout, and
 * for each service a bus connection and a heartbeat of its own. Each `main` runs until its signal aborts (SIGTERM,
 * SIGINT, or the end of the process that started this one); when one of them ends, by a failure or not, all end. A
 * process whose event loop is stuck is ended: see watchdog.ts.
 *
 * TERRACE_DATA           the data volume
 * TERRACE_BUS            nats://host:port
 * TERRACE_NAME           the name of the layer (default: layer)
 * TERRACE_LOG            debug, info, warn or error, until the configuration says otherwise
 * TERRACE_BUS_PASSWORD   instead of the file `bus/<service>.password` in the data volume
 * TERRACE_STOP_MS        how long the process may take to end before it is ended (default: 4000)
 */
export async function run(services: Partial<Record<ServiceName, Main>>): Promise<void> {
  const { env } = process;
  // Metadata hold keys and hashes of passwords; content is nobody else's to read either.
  process.umask(0o077);
  const names = Object.keys(services) as ServiceName[];
  const layer = env.TERRACE_NAME ?? 'layer';
  const logger = pino({
    level: env.TERRACE_LOG ?? 'info',
    base: { layer, pid: process.pid },
    // In a container, an engine shows it on a terminal as it is.
    hooks: { streamWrite: safeJson },
  });
  const log = logger.child({ service: names.length === 1 ? names[0] : 'layer' });
  const stopMs = stopMsOf(env);
  const end = new AbortController();
  const last = new AbortController();
  const stop = (why: string) => {
    if (end.signal.aborted) return;
    log.info({ why }, 'ending');
    end.abort(new Error(why));
    setTimeout(() => {
      log.error({}, 'did not end in time');
      process.exit(1);
    }, stopMs).unref();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal));
  // The channel to the process that started this one closes when that one ends, however it ends.
  process.on('disconnect', () => stop('the supervisor is gone'));
  const fatal = (err: unknown) => {
    log.fatal({ err }, 'a failure that nobody handled');
    process.exitCode ??= 1;
    stop('failure');
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);

  givesBack();
  watchLoop(log);

  const lives = names.map(async (service) => {
    const { signal } = service === FOUNDATION ? last : end;
    const own = logger.child({ service });
    try {
      return await live(service, services[service] as Main, { layer, env, signal, log: own }, stop);
    } catch (err) {
      if (signal.aborted && err === signal.reason) return;
      if (Fault.is(err, 'volume-unusable')) {
        own.fatal({ code: err.code }, err.message);
        process.exitCode = EXIT_UNUSABLE;
        await giveUp(err);
      } else {
        if (Fault.is(err)) own.fatal({ code: err.code }, err.message);
        else own.fatal({ err }, 'the service ended by a failure');
        process.exitCode ??= 1;
      }
      stop(`${service} has failed`);
    }
  });
  const others = lives.filter((_, index) => names[index] !== FOUNDATION);
  await ended(end.signal);
  await Promise.race([Promise.all(others), sleep(stopMs / 2, undefined, { ref: false })]);
  last.abort(end.signal.reason);
  // One that waits for the bus would go on waiting.
  if ((await Promise.all(lives)).includes('never connected')) process.exit();
  // Nothing may keep a process that has finished: the channel to the supervisor would.
  if (process.connected) process.disconnect();
}

/** One service, from its connection to the bus to its end. @param stop is told why the process is to end */
export async function live(
  service: ServiceName,
  main: Main,
  { layer, env, signal, log }: Pick<Context, 'layer' | 'env' | 'signal' | 'log'>,
  stop: (why: string) => void,
): Promise<'never connected' | undefined> {
  const instance = `${service}-${hostname().toLowerCase()}-${process.pid}-${randomBytes(3).toString('hex')}`;
  const data = resolve(required(env, 'TERRACE_DATA'));
  const url = required(env, 'TERRACE_BUS');
  const password =
    env.TERRACE_BUS_PASSWORD ?? (await readFile(join(data, 'bus', `${service}.password`), 'utf8')).trim();
  const connecting = Bus.connect({ url, user: service, password, layer, instance, log });
  const first = await Promise.race([connecting, ended(signal)]);
  if (!(first instanceof Bus)) return 'never connected';
  await using bus = first;
  await using health = new Health({ service, data, bus, log });
  await health.start();
  using _heartbeat = beat(bus, service, instance, log);
  bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    if (value && !env.TERRACE_LOG) log.level = value.logLevel;
  });
  void bus.closed().then(() => stop('the bus is closed'));
  log.info({ data }, 'started');
  try {
    await main({ service, instance, layer, data, bus, log, signal, env, serves: () => health.serves() });
  } finally {
    stop(`${service} has ended`);
  }
}

/** Tells whoever started this process that starting it again does not help. */
async function giveUp({ code, message }: Fault): Promise<void> {
  const word: Hopeless = { hopeless: { code, message } };
  if (process.connected) await new Promise<void>((resolve) => process.send?.(word, () => resolve()));
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

function beat(bus: Bus, service: ServiceName, instance: string, log: Logger): Disposable {
  const started = Date.now();
  const status = () => ({
    service,
    instance,
    host: hostname(),
    pid: process.pid,
    started,
    memory: process.memoryUsage.rss(),
  });
  bus.serve(alive[service], async () => status());
  const tell = () => {
    bus
      .put(serviceStatus, instance, status())
      .catch((err) => log.debug({ err }, 'the heartbeat was not written'));
  };
  tell();
  const timer = setInterval(tell, HEARTBEAT_MS).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Memory that a start or a time of work has needed goes back to the system as soon as the process is at rest. */
function givesBack(): void {
  // There only where Node runs with --expose-gc.
  const { gc } = globalThis;
  if (!gc) return;
  let worked = true;
  let last = process.cpuUsage();
  setInterval(() => {
    // By the processor's time: on a busy machine a process at rest takes long for what it does.
    const { user, system } = process.cpuUsage(last);
    const busy = (user + system) / 1_000 >= REST.share * REST.ms;
    last = process.cpuUsage();
    if (!busy && worked) gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    worked = busy;
  }, REST.ms).unref();
}

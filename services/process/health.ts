import { once } from 'node:events';
import { mkdir, readdir, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { RoundTrip } from '#proto/bus/roles.ts';
import { healthFolder, healthyAnswer } from '#proto/process/health.ts';
import { isAlive } from '#proto/process/process-stat.ts';
import { ClockWatch } from './clock-watch.ts';

const MAX_CONNECTIONS = 16;
/** Max wait for the bus before a health check is answered, in ms. */
const ANSWER_MS = 1_000;
/** Max lifetime of a connection, in ms. */
const MAX_OPEN_MS = 3_000;
/** Interval at which the file is rewritten, in ms, so that no other process deletes it as stale. */
const REWRITE_MS = 24 * 60 * 60_000;
/** Age at which the folder of another host counts as stale, in ms. */
const STALE_MS = 7 * REWRITE_MS;
/** Backoff after a failed write, in ms: doubles, with jitter. */
const RETRY = { firstMs: 1_000, maxMs: 60_000 };

export type HealthDeps = {
  service: string;
  data: string;
  bus: RoundTrip;
  log: Log;
  /** Interval between polls of the clock, in ms. */
  clockPollMs?: number;
};

/**
 * Answers health checks of one service: its event loop turns, it serves, and its bus answers. `healthFolder` describes
 * the protocol.
 */
export class Health implements AsyncDisposable {
  readonly #deps: HealthDeps;
  readonly #server = createServer({ noDelay: true }, (socket) => void this.#answer(socket));
  readonly #file: string;
  readonly #clock: ClockWatch;
  #timer: NodeJS.Timeout | undefined;
  /** Why it does not serve. */
  #missing: string | undefined = 'not serving yet';
  #healthy = '';
  #isEnded = false;

  constructor(deps: HealthDeps) {
    this.#deps = deps;
    this.#file = join(healthFolder(deps.data), `${deps.service}-${process.pid}`);
    // By its old time, a process of another host that starts now would take the file for a stale one.
    this.#clock = new ClockWatch((ms) => {
      deps.log.info({ ms }, 'the clock of this machine was set, or the machine slept');
      if (this.#healthy) void this.#write().catch(() => {});
    }, deps.clockPollMs);
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.unref();
  }

  /** Never throws: without health checks, the service runs all the same. */
  async start(): Promise<void> {
    const { data, log } = this.#deps;
    try {
      this.#healthy = await healthyAnswer(data);
      this.#server.listen(0, '127.0.0.1');
      await once(this.#server, 'listening');
      this.#server.on('error', (err) => log.warn({ err }, 'cannot report the health of this service'));
      await this.#writePeriodically();
      await deleteStale(dirname(this.#file));
    } catch (err) {
      log.warn({ err }, 'cannot report the health of this service');
    }
  }

  serves(): void {
    this.#missing = undefined;
  }

  /** Until it serves, health checks are answered with this. */
  waits(reason: string): void {
    this.#missing = reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    clearTimeout(this.#timer);
    this.#clock[Symbol.dispose]();
    this.#server.close();
    await rm(this.#file, { force: true }).catch(() => {});
    // `rmdir` fails for a folder that other processes use.
    const folder = dirname(this.#file);
    for (const empty of [folder, dirname(folder)]) await rmdir(empty).catch(() => {});
  }

  /** Writes the file now, then periodically; after a failure, with backoff. */
  async #writePeriodically(failures = 0): Promise<void> {
    let ms = REWRITE_MS;
    let failed = 0;
    try {
      await this.#write();
    } catch (err) {
      failed = failures + 1;
      ms = backoffMs(failed, RETRY);
      this.#deps.log.warn({ err, ms }, 'cannot write the health file; retrying');
    }
    if (!this.#isEnded) this.#timer = setTimeout(() => void this.#writePeriodically(failed), ms).unref();
  }

  async #write(): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
    await writeFile(this.#file, `${(this.#server.address() as AddressInfo).port}\n`, { mode: 0o600 });
  }

  async #answer(socket: Socket): Promise<void> {
    socket.on('error', () => {});
    setTimeout(() => socket.destroy(), MAX_OPEN_MS).unref();
    socket.resume();
    socket.end(`${await this.#status()}\n`);
  }

  async #status(): Promise<string> {
    if (this.#missing !== undefined) return this.#missing;
    const answered = this.#deps.bus.flush().then(
      () => true,
      () => false,
    );
    const isAnswered = await Promise.race([answered, sleep(ANSWER_MS, false, { ref: false })]);
    return isAnswered ? this.#healthy : 'the bus does not answer';
  }
}

/** Deletes files of processes of this host that have ended, and stale folders of other hosts. */
async function deleteStale(ownFolder: string): Promise<void> {
  for (const name of await readdir(ownFolder)) {
    const pid = Number(/-(\d+)$/.exec(name)?.[1]);
    if (pid > 0 && !isAlive(pid)) await rm(join(ownFolder, name), { force: true });
  }
  const hostsFolder = dirname(ownFolder);
  for (const host of await readdir(hostsFolder)) {
    const folder = join(hostsFolder, host);
    // A starting process of another host may be about to write its file there.
    if (folder !== ownFolder && (await isStale(folder).catch(() => false)))
      await rm(folder, { recursive: true, force: true });
  }
}

async function isStale(folder: string): Promise<boolean> {
  // The folder itself counts: it may be new and still empty.
  for (const name of ['.', ...(await readdir(folder))]) {
    if (Date.now() - (await stat(join(folder, name))).mtimeMs <= STALE_MS) return false;
  }
  return true;
}

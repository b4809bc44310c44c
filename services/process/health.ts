import { once } from 'node:events';
import { mkdir, readdir, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { healthFolder, wellWord } from '#proto/process/health.ts';

const MAX_CONNECTIONS = 16;
/** Whoever asks hears something within so long, and is gone soon after, in ms. */
const ANSWER_MS = 1_000;
const MAX_OPEN_MS = 3_000;
/** The file is written again so often: others clear away what nobody has written for long. */
const REWRITE_MS = 24 * 60 * 60_000;
const STALE_MS = 7 * REWRITE_MS;
/** When to write again what could not be written, in ms: doubling, with jitter. */
const RETRY = { firstMs: 1_000, maxMs: 60_000 };

export type HealthDeps = { service: string; data: string; bus: Pick<Bus, 'flush'>; log: Log };

/** Answers how one service is: that its loop turns, that it serves, and that its bus answers it. */
export class Health implements AsyncDisposable {
  readonly #deps: HealthDeps;
  readonly #server = createServer({ noDelay: true }, (socket) => void this.#answer(socket));
  readonly #file: string;
  #timer: NodeJS.Timeout | undefined;
  #serves = false;
  #well = '';
  #ended = false;

  constructor(deps: HealthDeps) {
    this.#deps = deps;
    this.#file = join(healthFolder(deps.data), `${deps.service}-${process.pid}`);
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.unref();
  }

  /** A service goes on without: then only nobody can tell how it is. */
  async start(): Promise<void> {
    const { data, log } = this.#deps;
    try {
      this.#well = await wellWord(data);
      this.#server.listen(0, '127.0.0.1');
      await once(this.#server, 'listening');
      this.#server.on('error', (err) => log.warn({ err }, 'the health of this service is not told'));
      await this.#keep();
      await clear(dirname(this.#file));
    } catch (err) {
      log.warn({ err }, 'the health of this service is not told');
    }
  }

  serves(): void {
    this.#serves = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#server.close();
    await rm(this.#file, { force: true }).catch(() => {});
    // Unless others are in them.
    const folder = dirname(this.#file);
    for (const empty of [folder, dirname(folder)]) await rmdir(empty).catch(() => {});
  }

  /** Writes it now, and from then on. */
  async #keep(failures = 0): Promise<void> {
    let ms = REWRITE_MS;
    let failed = 0;
    try {
      await this.#write();
    } catch (err) {
      failed = failures + 1;
      ms = backoffMs(failed, RETRY);
      this.#deps.log.warn(
        { err, ms },
        'where the health of this service is told was not written; trying again',
      );
    }
    if (!this.#ended) this.#timer = setTimeout(() => void this.#keep(failed), ms).unref();
  }

  async #write(): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
    await writeFile(this.#file, `${(this.#server.address() as AddressInfo).port}\n`, { mode: 0o600 });
  }

  async #answer(socket: Socket): Promise<void> {
    socket.on('error', () => {});
    setTimeout(() => socket.destroy(), MAX_OPEN_MS).unref();
    socket.resume();
    socket.end(`${await this.#how()}\n`);
  }

  async #how(): Promise<string> {
    if (!this.#serves) return 'it does not serve yet';
    const answered = this.#deps.bus.flush().then(
      () => true,
      () => false,
    );
    const isThere = await Promise.race([answered, sleep(ANSWER_MS, false, { ref: false })]);
    return isThere ? this.#well : 'its bus does not answer';
  }
}

/** Files of processes of this machine that are gone, and of machines that nobody heard of for long. */
async function clear(own: string): Promise<void> {
  for (const name of await readdir(own)) {
    const pid = Number(/-(\d+)$/.exec(name)?.[1]);
    if (pid > 0 && !isAlive(pid)) await rm(join(own, name), { force: true });
  }
  const all = dirname(own);
  for (const host of await readdir(all)) {
    const folder = join(all, host);
    // Another one of this moment may be about to write its own.
    if (folder !== own && (await isStale(folder).catch(() => false)))
      await rm(folder, { recursive: true, force: true });
  }
}

async function isStale(folder: string): Promise<boolean> {
  // An empty one may have been made just now.
  for (const name of ['.', ...(await readdir(folder))]) {
    if (Date.now() - (await stat(join(folder, name))).mtimeMs <= STALE_MS) return false;
  }
  return true;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

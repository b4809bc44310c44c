import { readlinkSync } from 'node:fs';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '#proto/contract/fault.ts';
import { randomHex } from '#proto/contract/random-hex.ts';
import { isAlive, statOf } from '#proto/process/process-stat.ts';
import { bootId } from '#proto/volume/boot-id.ts';

/** Interval at which the holder of a lock changes it, in ms. */
const BEAT_MS = 3_000;
/** A lock that was not changed for this long has no holder any more, in ms. No clocks are compared. */
const STALE_MS = 15_000;
const POLL_MS = 250;

/**
 * The lock of a target, which may be on another machine's disk: a file that its holder changes all the time. One that
 * writes to a target, or deletes from it, holds its lock.
 */
export class TargetLock implements AsyncDisposable {
  readonly #path: string;
  readonly #token = randomHex();
  #beats = 0;
  #writing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** @throws Fault `busy` if another process holds it */
  static async take(path: string): Promise<TargetLock> {
    const lock = new TargetLock(path);
    for (;;) {
      try {
        await writeFile(path, lock.#text(), { flag: 'wx', mode: 0o600 });
        lock.#timer = setInterval(() => lock.#beat(), BEAT_MS).unref();
        return lock;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const text = await textOf(path);
      if (text === undefined || (await isStale(path, text))) await removeStale(path, text);
      else {
        const [host = '?', , , pid = '?'] = text.split(' ');
        throw new Fault(
          'busy',
          `process ${pid} of ${host} is using these backups: wait until it ends (${path})`,
        );
      }
    }
  }

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws Fault `busy` if another process has taken it over, as this one did not run for a while */
  async mustHold(): Promise<void> {
    await this.#writing;
    if ((await textOf(this.#path))?.includes(this.#token)) return;
    throw new Fault('busy', `another process has taken over ${this.#path}: try again`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    if ((await textOf(this.#path).catch(() => ''))?.includes(this.#token))
      await rm(this.#path, { force: true }).catch(() => {});
  }

  #beat(): void {
    this.#writing = this.#writing.then(async () => {
      this.#beats += 1;
      const isOwn = (await textOf(this.#path).catch(() => ''))?.includes(this.#token);
      // A target that was unplugged: what uses it fails by itself.
      if (isOwn) await writeFile(this.#path, this.#text(), { flag: 'r+' }).catch(() => {});
    });
  }

  #text(): string {
    return `${hostname()} ${processSpace()} ${process.pid} ${startOf(process.pid)} ${this.#token} ${String(this.#beats).padStart(12, '0')}\n`;
  }
}

async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

async function isStale(path: string, text: string): Promise<boolean> {
  const [, boot, namespace, pid = '', start] = text.split(' ');
  if (`${boot} ${namespace}` === processSpace())
    return !isAlive(Number(pid)) || startOf(Number(pid)) !== start;
  for (let waited = 0; waited < STALE_MS; waited += POLL_MS) {
    await sleep(POLL_MS);
    if ((await textOf(path)) !== text) return false;
  }
  return true;
}

/** Removes a lock with this text; puts back any other. */
async function removeStale(path: string, text: string | undefined): Promise<void> {
  if (text === undefined) return;
  const aside = `${path}.${randomHex()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await textOf(aside)) !== text) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
}

/** Where a pid is unique: boot and namespace. */
function processSpace(): string {
  try {
    return `${bootId()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return `${hostname()} -`;
  }
}

/** When a process was started, by the kernel; `-` if that is unknown. */
const startOf = (pid: number): string => String(statOf(pid)?.[19] ?? '-');

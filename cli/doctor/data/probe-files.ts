import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '#proto/process/process-stat.ts';
import { PROBES } from '#proto/volume/layout.ts';

/** What a file system has to do for a layer, tried with small files in a folder that is deleted again. */

/** Age after which the probe files of another host, or of a reused pid, are stale, in ms. */
const MAX_AGE_MS = 10 * 60_000;

/** What was tried. */
export const probes = [
  'write',
  'fsync',
  'fsync of a folder',
  'rename over',
  'hard link',
  'exclusive creation',
] as const;

export type ProbeResult = {
  /** Code of the error of each probe that failed. */
  failed: { probe: (typeof probes)[number]; code: string }[];
  /** Time to write 4 KiB and make it durable, in ms. */
  fsyncMs?: number;
  /** Whether `a` and `A` are different files. */
  isCaseSensitive?: boolean;
};

/** Creates, uses and deletes the files. */
export function probeFiles(data: string): ProbeResult {
  removeStaleProbes(data);
  const folder = join(
    data,
    `${PROBES}${hostname().slice(0, 64)}-${process.pid}-${randomBytes(4).toString('hex')}`,
  );
  const result: ProbeResult = { failed: [] };
  const path = (name: string) => join(folder, name);
  const attempt = (probe: ProbeResult['failed'][number]['probe'], work: () => void): boolean => {
    try {
      work();
      return true;
    } catch (error) {
      result.failed.push({ probe, code: (error as NodeJS.ErrnoException).code ?? (error as Error).message });
      return false;
    }
  };
  try {
    if (!attempt('write', () => mkdirSync(folder, { mode: 0o700 }))) return result;
    attempt('fsync', () => {
      const startedAt = performance.now();
      writeDurably(path('a'));
      result.fsyncMs = performance.now() - startedAt;
    });
    if (!existsSync(path('a'))) return result;
    result.isCaseSensitive = !existsSync(path('A'));
    attempt('fsync of a folder', () => syncFolder(folder));
    attempt('rename over', () => {
      writeFileSync(path('b'), 'new', { mode: 0o600 });
      renameSync(path('b'), path('a'));
      if (readFileSync(path('a'), 'utf8') !== 'new') throw new Error('the old content is still there');
    });
    attempt('hard link', () => linkSync(path('a'), path('c')));
    attempt('exclusive creation', () => {
      const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
      closeSync(openSync(path('d'), flags, 0o600));
      if (opensAgain(path('d'), flags)) throw new Error('an existing file was created again');
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return result;
}

function writeDurably(path: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeSync(file, Buffer.alloc(4_096, 1));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function opensAgain(path: string, flags: number): boolean {
  try {
    closeSync(openSync(path, flags, 0o600));
    return true;
  } catch {
    return false;
  }
}

/** Removes what a killed process left: those of this host whose process has ended, and all that are old. */
export function removeStaleProbes(data: string): void {
  for (const name of readdirSync(data).filter((one) => one.startsWith(PROBES))) {
    const [, host, pid] = /^(.*)-(\d+)-[0-9a-f]{8}$/.exec(name.slice(PROBES.length)) ?? [];
    const path = join(data, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    const hasEnded = host === hostname().slice(0, 64) && !isAlive(Number(pid));
    if (hasEnded || Math.abs(age) > MAX_AGE_MS) rmSync(path, { recursive: true, force: true });
  }
}

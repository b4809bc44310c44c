import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isAlive, statOf } from '#proto/process/process-stat.ts';
import { bootId } from '#proto/volume/boot-id.ts';
import { isSameFolder } from '#proto/volume/folder-identity.ts';

/**
 * Records the process that runs on a data folder: `<pid> <start> <boot> <folder>`. Pids are reused, so a process with
 * this pid is the recorded one only if its start time and boot match. A copy of the data folder contains the file too,
 * so the process runs on this folder only if the recorded folder is this one.
 */
export function writePid(path: string, pid: number): void {
  const identity = identityOf(pid);
  writeFileSync(path, identity === undefined ? `${pid}\n` : `${identity} ${resolve(dirname(path))}\n`);
}

/**
 * Claims the file for this process, or returns the pid of the living process that holds it. The file appears together
 * with its content: an empty file would look unclaimed.
 * @returns `stale`: the file of a dead process was replaced
 */
export function claimPid(path: string): { held: number } | { stale: boolean } {
  const temporary = `${path}.${process.pid}`;
  writePid(temporary, process.pid);
  try {
    for (let stale = false; ; ) {
      if (succeeds(() => linkSync(temporary, path), 'EEXIST')) return { stale };
      const text = textOf(path);
      // Released just now: retry without a removal, as another process may have claimed it since.
      if (text === undefined) continue;
      const held = livingIn(text, path) ?? removeStale(path, `${temporary}.stale`);
      if (held !== undefined) return { held };
      stale = true;
    }
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** A data folder that this process holds until the disposal. `stale`: a dead process held it before. */
export type FolderClaim = Disposable & { stale: boolean };

/** Claims the data folder with this pid file, or returns the pid of the living process that holds it. */
export function claimFolder({ pid }: { pid: string }): FolderClaim | { held: number } {
  const claim = claimPid(pid);
  return 'held' in claim ? claim : { ...claim, [Symbol.dispose]: () => rmSync(pid, { force: true }) };
}

/**
 * Removes a stale file. If another process has replaced it meanwhile, that file is put back.
 * @returns the pid of that process
 */
function removeStale(path: string, aside: string): number | undefined {
  if (!succeeds(() => renameSync(path, aside), 'ENOENT')) return undefined;
  const held = livingPid(aside);
  if (held !== undefined) succeeds(() => linkSync(aside, path), 'EEXIST');
  rmSync(aside, { force: true });
  return held;
}

/** @returns false if it failed with the code `expected`; other errors are thrown */
function succeeds(work: () => void, expected: string): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== expected) throw error;
    return false;
  }
}

/** The pid in the file, if the recorded process is alive. */
export function livingPid(path: string): number | undefined {
  return livingIn(textOf(path) ?? '', path);
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}

/** A file without a folder, as earlier versions wrote it, counts as one of this folder. */
function livingIn(text: string, path: string): number | undefined {
  const [, number, identity, folder] = /^(\d+)(?: (\d+ \S+)(?: (.+))?)?$/.exec(text) ?? [];
  const pid = Number(number);
  if (!(pid > 0) || !isAlive(pid)) return undefined;
  if (identity !== undefined && identityOf(pid) !== `${pid} ${identity}`) return undefined;
  const isElsewhere = folder !== undefined && isSameFolder(pid, folder, dirname(path)) === false;
  return isElsewhere ? undefined : pid;
}

/** `<pid> <start> <boot>`; undefined without /proc. */
function identityOf(pid: number): string | undefined {
  const start = statOf(pid)?.[19];
  const boot = bootId();
  return start === undefined || boot === undefined ? undefined : `${pid} ${start} ${boot}`;
}

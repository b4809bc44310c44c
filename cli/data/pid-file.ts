import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { bootOf } from '#proto/volume/boot-id.ts';
import { isSameFolder } from '#proto/volume/folder-identity.ts';

/**
 * Who runs on a data folder, in a file: `<pid> <start> <boot> <folder>`. The process with this pid is the one that
 * wrote the file only if it was started at the same instant of the same boot: pids are given again. It runs on this
 * folder only if the folder that it named is this one: the file is in every copy of the folder, too.
 */
export function writePid(path: string, pid: number): void {
  const identity = identityOf(pid);
  writeFileSync(path, identity === undefined ? `${pid}\n` : `${identity} ${resolve(dirname(path))}\n`);
}

/**
 * Takes the file, or tells the pid of the living process that has it. The file is never there without its content:
 * an empty one would look as if nobody had it.
 */
export function claimPid(path: string): { held: number } | { stale: boolean } {
  const own = `${path}.${process.pid}`;
  writePid(own, process.pid);
  try {
    for (let stale = false; ; ) {
      if (succeeds(() => linkSync(own, path), 'EEXIST')) return { stale };
      const text = textOf(path);
      // Given back just now: nothing may be taken away, since somebody may have it by then.
      if (text === undefined) continue;
      const held = livingIn(text, path) ?? takeAway(path, `${own}.stale`);
      if (held !== undefined) return { held };
      stale = true;
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/** Another process may have put its own in the stale one's place meanwhile: that is given back. */
function takeAway(path: string, aside: string): number | undefined {
  if (!succeeds(() => renameSync(path, aside), 'ENOENT')) return undefined;
  const held = livingPid(aside);
  if (held !== undefined) succeeds(() => linkSync(aside, path), 'EEXIST');
  rmSync(aside, { force: true });
  return held;
}

/** @returns false where it failed for the reason that was to be expected */
function succeeds(work: () => void, unless: string): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== unless) throw error;
    return false;
  }
}

/** The pid in the file, if the process that it was written for lives. */
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

/** Without a folder, as an earlier version wrote it, the process counts as one that runs here. */
function livingIn(text: string, path: string): number | undefined {
  const [, number, identity, folder] = /^(\d+)(?: (\d+ \S+)(?: (.+))?)?$/.exec(text) ?? [];
  const pid = Number(number);
  if (!(pid > 0) || !isAlive(pid)) return undefined;
  if (identity !== undefined && identityOf(pid) !== `${pid} ${identity}`) return undefined;
  const isElsewhere = folder !== undefined && isSameFolder(pid, folder, dirname(path)) === false;
  return isElsewhere ? undefined : pid;
}

/** A process that has ended and that its parent hasn't asked for yet is not alive. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return statOf(pid)?.[0] !== 'Z';
}

/** Undefined where the system has no /proc. */
function identityOf(pid: number): string | undefined {
  const start = statOf(pid)?.[19];
  const boot = bootOf();
  return start === undefined || boot === undefined ? undefined : `${pid} ${start} ${boot}`;
}

/** The fields of /proc/<pid>/stat from the third on: the second is a name in parentheses and may hold anything. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Who runs on a data folder, in a file: `<pid> <start> <boot>`. The process with this pid is the one that wrote
 * the file only if it was started at the same instant of the same boot: pids are given again.
 */
export function writePid(path: string, pid: number): void {
  writeFileSync(path, `${identityOf(pid) ?? pid}\n`);
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
      const held = livingIn(text) ?? takeAway(path, `${own}.stale`);
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
  return livingIn(textOf(path) ?? '');
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}

function livingIn(text: string): number | undefined {
  const pid = Number.parseInt(text, 10);
  if (!(pid > 0) || !isAlive(pid)) return undefined;
  return text === String(pid) || text === identityOf(pid) ? pid : undefined;
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
  if (start === undefined) return undefined;
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${pid} ${start} ${boot}`;
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

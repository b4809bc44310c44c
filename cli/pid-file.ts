import { readFileSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Who runs on a data folder, in a file: `<pid> <start> <boot>`. The process with this pid is the one that wrote
 * the file only if it was started at the same instant of the same boot: pids are given again.
 */
export function writePid(path: string, pid: number): void {
  writeFileSync(path, `${identityOf(pid) ?? pid}\n`);
}

/** Takes the file, or tells the pid of the living process that has it. */
export function claimPid(path: string): { held: number } | { stale: boolean } {
  for (let stale = false; ; stale = true) {
    try {
      writeFileSync(path, `${identityOf(process.pid) ?? process.pid}\n`, { flag: 'wx' });
      return { stale };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const held = livingPid(path);
    if (held !== undefined) return { held };
    rmSync(path, { force: true });
  }
}

/** The pid in the file, if the process that it was written for lives. */
export function livingPid(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
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

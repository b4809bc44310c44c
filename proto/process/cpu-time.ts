import { readFileSync } from 'node:fs';

/** Unit of times in /proc, in ms: USER_HZ is 100 on every Linux. */
const TICK_MS = 10;

/** CPU time of the main thread of a process, in ms. Undefined if the system does not report it. */
export function processorMsOf(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The program's name, in parentheses, may hold any character. After it: state, ten numbers, user and system time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return Number.isFinite(ticks) ? ticks * TICK_MS : undefined;
}

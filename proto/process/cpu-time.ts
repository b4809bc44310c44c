import { readFileSync } from 'node:fs';

/** The unit of /proc: USER_HZ, which is 100 on every Linux. */
const TICK_MS = 10;

/** Time of the processor that the main thread of a process has used, in ms; undefined where the system does not say. */
export function processorMsOf(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name of the program, in parentheses, may hold anything. Behind it: state, ten numbers, user and system time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return Number.isFinite(ticks) ? ticks * TICK_MS : undefined;
}

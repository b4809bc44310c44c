import { readdirSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** All else on this machine comes first, and the kernel ends this process first if memory is short. */
export function yieldToOthers(niceness: number): void {
  for (const thread of threads()) {
    try {
      setPriority(thread, niceness);
    } catch {
      // The thread has ended.
    }
  }
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // Not Linux, or not permitted.
  }
}

/** Linux has a priority for each thread. Later threads get that of the thread that starts them. */
function threads(): number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [0];
  }
}

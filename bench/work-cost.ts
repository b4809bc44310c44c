import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds } from './cpu-seconds.ts';
import { timed } from './measure.ts';
import { memoryOf } from './resident.ts';

/** Interval at which memory is read, in ms. */
const SAMPLE_MS = 50;

/** What some work costs one process: seconds, CPU seconds, and its highest memory, in MB. */
export type Cost = { seconds: number; cpu: number; memory: number };

/** Own memory (RssAnon): that of mapped files, as LevelDB maps its tables, is the system's to take back. */
export async function costOf(pid: number, work: () => Promise<unknown>): Promise<Cost> {
  const end = new AbortController();
  let memory = 0;
  const sampling = (async () => {
    while (!end.signal.aborted) {
      memory = Math.max(memory, await memoryOf(pid, 'RssAnon'));
      await sleep(SAMPLE_MS, undefined, { signal: end.signal }).catch(() => {});
    }
  })();
  const before = await cpuSeconds([pid]);
  try {
    const seconds = await timed(work);
    return { seconds, cpu: (await cpuSeconds([pid])) - before, memory };
  } finally {
    end.abort();
    await sampling;
  }
}

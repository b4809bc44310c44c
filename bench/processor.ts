import { readdir, readFile } from 'node:fs/promises';

/** Seconds of processor time that the processes and their children have used, thread by thread, to the nanosecond. */
export async function processorSeconds(pids: readonly number[]): Promise<number> {
  let sum = 0;
  for (const pid of pids) {
    for (const thread of await readdir(`/proc/${pid}/task`)) {
      const folder = `/proc/${pid}/task/${thread}`;
      const [nanoseconds] = (await text(`${folder}/schedstat`)).split(' ');
      const children = (await text(`${folder}/children`)).trim();
      sum += Number(nanoseconds) / 1e9;
      if (children) sum += await processorSeconds(children.split(' ').map(Number));
    }
  }
  return sum;
}

/** Nothing where the thread has ended since. */
const text = (path: string) => readFile(path, 'utf8').catch(() => '');

import { readdir, readFile } from 'node:fs/promises';

/** CPU time that the processes and their children have used, in s: the sum of all threads, exact to the nanosecond. */
export async function cpuSeconds(pids: readonly number[]): Promise<number> {
  let sum = 0;
  for (const pid of pids) {
    for (const thread of await readdir(`/proc/${pid}/task`)) {
      const folder = `/proc/${pid}/task/${thread}`;
      const [nanoseconds] = (await text(`${folder}/schedstat`)).split(' ');
      const children = (await text(`${folder}/children`)).trim();
      sum += Number(nanoseconds) / 1e9;
      if (children) sum += await cpuSeconds(children.split(' ').map(Number));
    }
  }
  return sum;
}

/** Empty if the thread has ended meanwhile. */
const text = (path: string) => readFile(path, 'utf8').catch(() => '');

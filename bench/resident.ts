import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Comparison } from './measure.ts';

/** How long after the last request memory is looked at again, in ms. */
const REST_MS = 1_000;

/** Resident memory of processes that have just worked: the most that each ever had, and what it has now. */
export async function residentAfter(what: string, pids: Record<string, number>): Promise<Comparison[]> {
  await sleep(REST_MS);
  const row = async (subject: string, field: Field): Promise<Comparison> => {
    const found = Object.entries(pids).map(async ([name, pid]) => [name, [await memoryOf(pid, field)]]);
    const values = Object.fromEntries(await Promise.all(found));
    return { subject, unit: 'MB', better: 'less', values, ratios: false };
  };
  return [
    await row(`highest resident memory during ${what}`, 'VmHWM'),
    await row(`resident memory ${REST_MS / 1_000} s after ${what}`, 'VmRSS'),
  ];
}

/** Resident now, the highest ever, resident with pages that several processes share divided among them; no file's. */
export type Field = 'VmRSS' | 'VmHWM' | 'Pss' | 'RssAnon';

/** In MB. */
export async function memoryOf(pid: number, field: Field): Promise<number> {
  const text = await readFile(`/proc/${pid}/${field === 'Pss' ? 'smaps_rollup' : 'status'}`, 'utf8');
  return (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024) / 1e6;
}

import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Comparison } from './measure.ts';

/** Time between the last request and the measurement, in ms. */
const IDLE_MS = 1_000;

/** Resident memory of processes after some work: the maximum of each, and its memory now. */
export async function residentAfter(work: string, pids: Record<string, number>): Promise<Comparison[]> {
  await sleep(IDLE_MS);
  const row = async (subject: string, field: Field): Promise<Comparison> => {
    const found = Object.entries(pids).map(async ([name, pid]) => [name, [await memoryOf(pid, field)]]);
    const values = Object.fromEntries(await Promise.all(found));
    return { subject, unit: 'MB', better: 'less', values, ratios: false };
  };
  return [
    await row(`highest resident memory during ${work}`, 'VmHWM'),
    await row(`resident memory ${IDLE_MS / 1_000} s after ${work}`, 'VmRSS'),
  ];
}

/** Resident; its maximum; with shared pages divided among the processes that share them; without pages of files. */
export type Field = 'VmRSS' | 'VmHWM' | 'Pss' | 'RssAnon';

/** @returns MB */
export async function memoryOf(pid: number, field: Field): Promise<number> {
  const text = await readFile(`/proc/${pid}/${field === 'Pss' ? 'smaps_rollup' : 'status'}`, 'utf8');
  return (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024) / 1e6;
}

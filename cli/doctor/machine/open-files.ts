import { readFileSync } from 'node:fs';
import { serviceHere } from '../subject/service-process.ts';
import type { Subject } from '../subject/subject.ts';
import { fault, type Verdict, warning } from '../verdict/check.ts';

/** Limit of open files of the layer's processes: each connection, each blob that is read and each table takes one. */

const MIN_FILES = 1_024;
const ENOUGH_FILES = 4_096;

export async function checkOpenFiles({ holder, status }: Subject): Promise<Verdict> {
  const pid = serviceHere(status, 'storage')?.pid ?? holder;
  const [own, layer] = ['self', pid].map((one) => (one === undefined ? undefined : limitOf(one)));
  return openFilesVerdict(layer ?? own, layer !== undefined);
}

function limitOf(pid: number | string): number | undefined {
  try {
    return limitIn(readFileSync(`/proc/${pid}/limits`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** The hard limit: Node raises the soft one to it at its start. Pure. */
export function limitIn(text: string): number | undefined {
  const [, hard] = /^Max open files\s+\S+\s+(\S+)/m.exec(text) ?? [];
  if (hard === undefined) return undefined;
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}

/** @param isOfLayer the limit of a process of the layer; else that of this command. Pure. */
export function openFilesVerdict(limit: number | undefined, isOfLayer: boolean): Verdict {
  if (limit === undefined) return { unchecked: 'this system does not report the limit' };
  const about = `${Number.isFinite(limit) ? limit : 'any number of'} files${isOfLayer ? ' for the layer' : ''}`;
  const what = `${isOfLayer ? 'a process of the layer' : 'a process of this user'} may open ${limit} files only`;
  const remedy =
    'raise it to 65536: LimitNOFILE= of the service, --ulimit nofile= of the container, or ulimit -n';
  if (limit < MIN_FILES) return { about, findings: [fault(what, remedy)] };
  return { about, findings: limit < ENOUGH_FILES ? [warning(what, remedy)] : [] };
}

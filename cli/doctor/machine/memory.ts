import { readFileSync } from 'node:fs';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { serviceHere } from '../subject/service-process.ts';
import type { Subject } from '../subject/subject.ts';
import { type Finding, fault, type Verdict, warning } from '../verdict/check.ts';

/** Memory of this machine, and of the control group of this process, against what a layer needs. */

/** A layer at rest in one process (`--compact`), and in several, with what a pass and some clients need, in bytes. */
const NEEDED = { compact: 200_000_000, separate: 500_000_000 };

export type MemorySeen = {
  /** Of the machine, in bytes; undefined without /proc. */
  total?: number | undefined;
  available?: number | undefined;
  swap?: number | undefined;
  /** Limit of the control group and what it uses, in bytes; undefined without a limit. */
  limit?: number | undefined;
  used?: number | undefined;
  /** The layer runs, and has its memory already. */
  isRunning: boolean;
};

export async function checkMemory({ bus, status }: Subject): Promise<Verdict> {
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  };
  const pid = serviceHere(status, 'storage')?.pid;
  return memoryVerdict({ ...memoryIn(read, pid), isRunning: bus !== undefined });
}

/**
 * Pure.
 * @param read returns the text of a file; empty if there is none
 * @param pid process whose control group limits the layer
 */
export function memoryIn(
  read: (path: string) => string,
  pid: number | 'self' = 'self',
): Omit<MemorySeen, 'isRunning'> {
  const info = read('/proc/meminfo');
  const field = (name: string) => {
    const [, kilobytes] = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(info) ?? [];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
  };
  const [total, available, swap] = [field('MemTotal'), field('MemAvailable'), field('SwapTotal')];
  const groups = read(`/proc/${pid}/cgroup`);
  // Of version 2 there is one hierarchy, of version 1 one of its own for memory. A container sees its own group as `/`.
  const second = foldersOf('/sys/fs/cgroup', /^0::(\/.*)$/m.exec(groups)?.[1]);
  const first = foldersOf(
    '/sys/fs/cgroup/memory',
    /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(\/.*)$/m.exec(groups)?.[1],
  );
  const textOf = (folders: string[], name: string) =>
    folders.map((folder) => read(`${folder}/${name}`).trim()).find(Boolean);
  const limit = numberIn(textOf(second, 'memory.max') ?? textOf(first, 'memory.limit_in_bytes'));
  const used = numberIn(textOf(second, 'memory.current') ?? textOf(first, 'memory.usage_in_bytes'));
  // Version 1 has a number beyond all memory for "no limit".
  const isLimited = limit !== undefined && (total === undefined || limit < total);
  return { total, available, swap, ...(isLimited && { limit, used }) };
}

const foldersOf = (root: string, group = '/'): string[] => [`${root}${group === '/' ? '' : group}`, root];

const numberIn = (text = ''): number | undefined => (/^\d+$/.test(text) ? Number(text) : undefined);

/** Pure. */
export function memoryVerdict({ total, available, swap, limit, used, isRunning }: MemorySeen): Verdict {
  if (total === undefined && limit === undefined)
    return { unchecked: 'this system does not report its memory' };
  const findings: Finding[] = [];
  const max = Math.min(total ?? Number.POSITIVE_INFINITY, limit ?? Number.POSITIVE_INFINITY);
  const owner = limit === undefined ? 'this machine has' : 'the limit of this container or service is';
  const free = Math.min(
    available ?? Number.POSITIVE_INFINITY,
    limit === undefined ? Number.POSITIVE_INFINITY : limit - (used ?? 0),
  );
  const size = formatBytes(max);
  if (max < NEEDED.compact) {
    const what = `${owner} ${size} of memory, and a layer needs ${formatBytes(NEEDED.compact)}`;
    findings.push(fault(what, limit === undefined ? 'add memory' : 'raise the limit'));
  } else if (max < NEEDED.separate) {
    const what = `${owner} ${size} of memory`;
    findings.push(warning(what, 'start the layer with --compact: all services in one process'));
  } else if (!isRunning && free < NEEDED.compact) {
    const what = `${formatBytes(Math.max(0, free))} of memory are free, and a layer needs ${formatBytes(NEEDED.compact)}`;
    findings.push(warning(what, 'stop other programs, or add memory'));
  }
  const parts = [
    `${size}${limit === undefined ? '' : ' by the limit'}`,
    ...(Number.isFinite(free) ? [`${formatBytes(Math.max(0, free))} free`] : []),
    ...(swap === undefined ? [] : [swap > 0 ? `swap ${formatBytes(swap)}` : 'no swap']),
  ];
  return { about: parts.join(', '), findings };
}

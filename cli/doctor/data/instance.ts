import { readdir, readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isLoopback } from '#proto/document/networks.ts';
import { HEALTH, METADATA } from '#proto/volume/layout.ts';
import { isBus } from '../../connection/connect.ts';
import { isCopy } from '../../data/data-folder.ts';
import type { Subject } from '../subject/subject.ts';
import { causeAndRemedy, type Finding, fault, type Verdict, warning } from '../verdict/check.ts';

/** Whether the data folder has one layer at most, and a layer one data folder. */

export type InstanceSeen = {
  path: string;
  /** The process that holds the folder, as far as it runs on this machine. */
  holder?: number | undefined;
  isRunning: boolean;
  /** Why the bus of the layer can't be used. */
  busFailure?: string | undefined;
  isCopy: boolean;
  /** Of a copy: the bus of the original answers on this machine. */
  isOriginalRunning: boolean;
  /** Process that has the metadata open, as far as that can be seen. */
  user?: number | undefined;
  /** Processes of the layer that runs. */
  own: number[];
  /** Other hosts that report services of this folder. */
  otherHosts: string[];
};

export async function checkInstance(subject: Subject): Promise<Verdict> {
  const { folder, holder, bus, busFailure, status } = subject;
  const copied = isCopy(folder);
  const services = status?.services ?? [];
  const reported = new Set(services.map(({ host }) => host));
  return instanceVerdict({
    path: folder.root,
    holder,
    isRunning: bus !== undefined,
    busFailure,
    isCopy: copied,
    isOriginalRunning: copied && (await answersElsewhere(folder.busUrl)),
    user: await lockHolder(join(folder.root, METADATA, 'LOCK')),
    own: [...(holder === undefined ? [] : [holder]), ...services.map(({ pid }) => pid)],
    otherHosts: (await hostsOf(folder.root)).filter((host) => host !== hostname() && !reported.has(host)),
  });
}

/** Whether the recorded bus of a copied folder answers: it is the one of the original. */
async function answersElsewhere(busUrl: string): Promise<boolean> {
  const url = (await readFile(busUrl, 'utf8').catch(() => '')).trim();
  if (!URL.canParse(url)) return false;
  const { hostname: host, port } = new URL(url);
  return isLoopback(host) && (await isBus({ host, port: Number(port) }));
}

/** The process that holds a lock on the file, from the list of all locks; undefined if none does, or it is hidden. */
async function lockHolder(path: string): Promise<number | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '');
  return found && lockHolderIn(locks, `${deviceOf(found.dev)}:${found.ino}`);
}

/** `fe:00`: major and minor number of a device, as /proc/locks has them. */
function deviceOf(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return [major, minor].map((one) => one.toString(16).padStart(2, '0')).join(':');
}

/** @param file as `fe:00:5678`. Pure: `1: POSIX  ADVISORY  WRITE 1234 fe:00:5678 0 EOF` */
export function lockHolderIn(locks: string, file: string): number | undefined {
  for (const line of locks.split('\n')) {
    const [, pid, locked] = /\bWRITE (\d+) (\S+) /.exec(line) ?? [];
    if (locked === file && Number(pid) > 0) return Number(pid);
  }
  return undefined;
}

/** Age after which what a host reported counts no more, in ms. */
const MAX_AGE_MS = 60 * 60_000;

/** Hosts that share the folder. Files of those that ended in good order are deleted. */
async function hostsOf(root: string): Promise<string[]> {
  const folder = join(root, HEALTH);
  const names = await readdir(folder).catch(() => []);
  const recent: string[] = [];
  for (const name of names.slice(0, 100)) {
    const files = await readdir(join(folder, name)).catch(() => []);
    const changed = (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0;
    if (files.length > 0 && Date.now() - changed < MAX_AGE_MS) recent.push(name);
  }
  return recent;
}

/** Pure. */
export function instanceVerdict(seen: InstanceSeen): Verdict {
  const { path, holder, isRunning, busFailure, user, own, otherHosts } = seen;
  const findings: Finding[] = [];
  if (!isRunning && holder !== undefined) {
    const what = `process ${holder} holds ${path}, and its bus does not answer`;
    findings.push(
      fault(what, 'wait until it has started or stopped; else see data/log/terrace.log and stop it'),
    );
  } else if (!isRunning && busFailure !== undefined) {
    const { what, remedy } = causeAndRemedy(busFailure);
    findings.push(fault(what, remedy));
  }
  if (seen.isOriginalRunning && !isRunning) {
    const what = `${path} is a copy, and the layer that it was copied from runs: both are the same layer for the parent`;
    findings.push(
      fault(what, 'use the folder of the running one, or stop that one for good before this one starts'),
    );
  } else if (seen.isCopy && !isRunning) {
    const what = `${path} was copied or moved from another place`;
    findings.push(
      warning(what, 'make sure that the original never runs again: both are the same layer for the parent'),
    );
  }
  if (user !== undefined && !own.includes(user) && !(isRunning && own.length === 0) && holder === undefined) {
    const what = `process ${user} uses the metadata of ${path}, and is no process of a layer that runs here`;
    findings.push(
      fault(what, 'stop it: it may be a storage service that was started by itself, or a repair'),
    );
  }
  if (!isRunning && otherHosts.length > 0) {
    const what = `services on ${otherHosts.join(', ')} use ${path}, too, or were killed within the last hour`;
    findings.push(
      warning(what, 'start one layer only on a data folder: syncers of other hosts join by "terrace syncer"'),
    );
  }
  const about = isRunning
    ? `a layer runs here${holder === undefined ? '' : `, process ${holder}`}`
    : 'no layer runs here';
  return { about, findings };
}

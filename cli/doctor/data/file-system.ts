import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { formatSeconds } from '#proto/contract/quantity-text.ts';
import { NODE_ENV } from '../../data/node.ts';
import { type Mount, natureOf } from '../subject/mount.ts';
import type { Subject } from '../subject/subject.ts';
import { type Finding, fault, type Verdict, warning } from '../verdict/check.ts';
import type { ProbeResult } from './probe-files.ts';

/** Whether the file system of the data folder keeps what a layer writes. */

/** Times to make a file durable that are worth a word, in ms: each commit of content waits for some of them. */
const SLOW_FSYNC_MS = 500;
/** Max time to try the file system, in ms. */
const PROBE_MS = 8_000;

export async function checkFileSystem({ folder, mount }: Subject, signal: AbortSignal): Promise<Verdict> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)]);
  try {
    return fileSystemVerdict(mount, await probeInProcess(folder.root, limit));
  } catch (error) {
    if (signal.aborted || !limit.aborted) throw error;
    return fileSystemVerdict(mount, 'unanswered');
  }
}

/** @throws Error if the process fails */
async function probeInProcess(data: string, signal: AbortSignal): Promise<ProbeResult> {
  const program = join(import.meta.dirname, 'probe-process.ts');
  const child = spawn(process.execPath, [program, data], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...NODE_ENV },
  });
  // While its file system does not answer, even a killed process does not end: nothing waits for it.
  child.unref();
  const abort = () => {
    child.kill('SIGKILL');
    child.stdout.destroy();
  };
  signal.addEventListener('abort', abort, { once: true });
  child.on('error', () => {});
  try {
    return JSON.parse(await text(child.stdout)) as ProbeResult;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Pure. */
export function fileSystemVerdict(mount: Mount | undefined, seen: ProbeResult | 'unanswered'): Verdict {
  const where = mount ? `${mount.type} on ${mount.point}` : 'an unknown file system';
  if (seen === 'unanswered') {
    const what = `${where} does not store a small file within ${formatSeconds(PROBE_MS)}`;
    const remedy =
      'check the disk, or the server of the file system: the log of the kernel (dmesg) says more';
    return { about: where, findings: [fault(what, remedy)] };
  }
  const { failed, fsyncMs, isCaseSensitive } = seen;
  const facts = [
    where,
    ...(fsyncMs === undefined ? [] : [`a file is durable after ${formatSeconds(Math.ceil(fsyncMs))}`]),
  ];
  const findings: Finding[] = [];
  const [first] = failed;
  if (first) {
    const names = failed.map(({ probe, code }) => `${probe} (${code})`).join(', ');
    findings.push(
      first.code === 'EROFS'
        ? fault(
            `the data folder is on a file system that is mounted read-only (${where})`,
            'check the disk for errors, then mount it writable',
          )
        : first.code === 'ENOSPC' || first.code === 'EDQUOT'
          ? fault(
              `no file can be written (${first.code})`,
              'free space on the data volume: docs/operating/full-disk.md',
            )
          : fault(
              `${where} does not support what a layer needs: ${names}`,
              'move the data folder to a file system such as ext4 or xfs',
            ),
    );
  } else if (isCaseSensitive === false) {
    const what = `${where} does not tell a from A`;
    findings.push(
      warning(what, 'use a file system such as ext4 or xfs: other programs on the volume may clash'),
    );
  }
  if (fsyncMs !== undefined && fsyncMs > SLOW_FSYNC_MS) {
    const what = `a file is durable only after ${formatSeconds(fsyncMs)}: pushes and transfers wait for it`;
    findings.push(warning(what, 'use a faster disk, or find what else writes to it'));
  }
  return { about: facts.join('; '), findings: [...findings, ...mountFindings(mount, where)] };
}

function mountFindings(mount: Mount | undefined, where: string): Finding[] {
  if (!mount) return [];
  const nature = natureOf(mount.type);
  const of: Partial<Record<typeof nature, Finding>> = {
    network: warning(
      `the data folder is on a network file system (${where}): what is durable depends on its server`,
      'use a local disk, or make sure that only this layer uses it and that the server syncs (no async export)',
    ),
    memory: warning(`the data folder is in memory (${where}): it is lost at a restart`, 'move it to a disk'),
    layered: warning(
      `the data folder is in the image of a container (${where}): it is lost with the container`,
      'mount a volume for it',
    ),
    'user space': warning(
      `the data folder is on a file system in user space (${where})`,
      'use one of the kernel, such as ext4 or xfs',
    ),
  };
  const found = of[nature];
  const isSync = mount.options.includes('sync');
  return [
    ...(found ? [found] : []),
    ...(isSync
      ? [
          warning(
            `${where} is mounted with the option sync: each write waits for the disk`,
            'mount it without sync',
          ),
        ]
      : []),
  ];
}

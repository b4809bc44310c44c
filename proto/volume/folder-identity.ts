import { readFileSync, statSync } from 'node:fs';
import { bootOf } from './boot-id.ts';

const UNKNOWN_BOOT = '-';

/**
 * Which folder this is, in one text: `<boot> <device>:<inode>`. A copy of a data folder has all that was written into
 * the folder it was made of, but not its place. Devices get other numbers when the machine starts again, and on another
 * machine; inodes stay, also on a network file system.
 */
export function placeOf(folder: string): string {
  const { dev, ino } = statSync(folder, { bigint: true });
  return `${bootOf() ?? UNKNOWN_BOOT} ${dev}:${ino}`;
}

/** @returns false also where nothing was recorded, as by an earlier version, or the folder can't be looked at */
export function isElsewhere(recordPath: string, folder: string): boolean {
  try {
    return isOtherPlace(readFileSync(recordPath, 'utf8').trim(), placeOf(folder));
  } catch {
    return false;
  }
}

/** Pure. */
export function isOtherPlace(recorded: string, now: string): boolean {
  const [then, here] = [recorded, now].map(parse);
  if (!then || !here) return false;
  return then.inode !== here.inode || (then.boot === here.boot && then.device !== here.device);
}

/** The same folder, and since it was recorded, the machine was not started anew. Pure. */
export function isSamePlace(recorded: string, now: string): boolean {
  const then = parse(recorded);
  return then !== undefined && then.boot !== UNKNOWN_BOOT && recorded === now;
}

function parse(text: string): { boot: string; device: string; inode: string } | undefined {
  const [, boot, device, inode] = /^(\S+) (\d+):(\d+)$/.exec(text) ?? [];
  return boot && device && inode ? { boot, device, inode } : undefined;
}

/** Whether two paths, the first as another process sees it, name one folder; undefined where that can't be told. */
export function isSameFolder(pid: number, path: string, folder: string): boolean | undefined {
  try {
    const [theirs, ours] = [`/proc/${pid}/root${path}`, folder].map((each) =>
      statSync(each, { bigint: true }),
    );
    return theirs?.dev === ours?.dev && theirs?.ino === ours?.ino;
  } catch {
    return undefined;
  }
}

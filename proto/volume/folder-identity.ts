import { readFileSync, statSync } from 'node:fs';
import { bootId } from './boot-id.ts';

const UNKNOWN_BOOT = '-';

/**
 * Identity of a folder as text: `<boot> <device>:<inode>`. A copy of a data folder contains all that was written to the
 * original, but has another identity. Device numbers change at a reboot and between machines; inodes stay, also on a
 * network file system.
 */
export function folderIdentity(folder: string): string {
  const { dev, ino } = statSync(folder, { bigint: true });
  return `${bootId() ?? UNKNOWN_BOOT} ${dev}:${ino}`;
}

/**
 * Whether the folder is another one than recorded.
 * @returns false also if nothing was recorded, as by an earlier version, or if the folder can't be read
 */
export function isElsewhere(recordPath: string, folder: string): boolean {
  try {
    return isOtherFolder(readFileSync(recordPath, 'utf8').trim(), folderIdentity(folder));
  } catch {
    return false;
  }
}

/** Whether the inode differs, or the device within the same boot. False if a text is invalid. Pure. */
export function isOtherFolder(recorded: string, now: string): boolean {
  const [before, after] = [recorded, now].map(parse);
  if (!before || !after) return false;
  return before.inode !== after.inode || (before.boot === after.boot && before.device !== after.device);
}

/** Whether it is the same folder, and the machine was not rebooted since it was recorded. Pure. */
export function isSameIdentity(recorded: string, now: string): boolean {
  const before = parse(recorded);
  return before !== undefined && before.boot !== UNKNOWN_BOOT && recorded === now;
}

function parse(text: string): { boot: string; device: string; inode: string } | undefined {
  const [, boot, device, inode] = /^(\S+) (\d+):(\d+)$/.exec(text) ?? [];
  return boot && device && inode ? { boot, device, inode } : undefined;
}

/** Whether both paths name one folder, `path` as process `pid` sees it; undefined if that can't be determined. */
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

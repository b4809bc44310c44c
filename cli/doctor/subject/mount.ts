import { readFileSync, readlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** The file system that a folder is on, from the list of mounts of this process. */

export type Mount = {
  /** Where it is mounted. */
  point: string;
  type: string;
  source: string;
  options: string[];
};

/** Max links that lead from one to the next. */
const MAX_LINKS = 20;

/** Undefined without /proc. The file system itself is not used: it may not answer. */
export function mountHere(path: string): Mount | undefined {
  try {
    return mountOf(readFileSync('/proc/self/mountinfo', 'utf8'), targetOf(path));
  } catch {
    return undefined;
  }
}

/** The target of a path that is a symbolic link; else the path. */
function targetOf(path: string): string {
  let target = path;
  for (let links = 0; links < MAX_LINKS; links += 1) {
    try {
      target = resolve(dirname(target), readlinkSync(target));
    } catch {
      break;
    }
  }
  return target;
}

/** The mount that has the longest path above `path`; of several on one path, the last. Pure. @param path absolute */
export function mountOf(mountinfo: string, path: string): Mount | undefined {
  let found: Mount | undefined;
  for (const line of mountinfo.split('\n')) {
    const [before = '', after] = line.split(' - ');
    const [, , , , point, options = ''] = before.split(' ').map(unescaped);
    const [type, source = '', more = ''] = (after ?? '').split(' ').map(unescaped);
    if (point === undefined || !type || !isBelow(path, point)) continue;
    if (found && point.length < found.point.length) continue;
    found = { point, type, source, options: [...new Set([...options.split(','), ...more.split(',')])] };
  }
  return found;
}

const isBelow = (path: string, point: string): boolean =>
  point === '/' || path === point || path.startsWith(`${point}/`);

/** Blanks and backslashes in names are written in octal digits. */
const unescaped = (text: string): string =>
  text.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** What the type of a file system means for the data of a layer. */
export type Nature = 'disk' | 'network' | 'memory' | 'layered' | 'user space';

const NETWORK =
  /^(?:nfs\d?|cifs|smb\d?|smbfs|afs|ceph|glusterfs|9p|virtiofs|lustre|ocfs2|gfs2|fuse\.(?:sshfs|glusterfs|s3fs|rclone|gcsfuse|ceph.*))$/;

/** Pure. */
export function natureOf(type: string): Nature {
  if (NETWORK.test(type)) return 'network';
  if (/^(?:tmpfs|ramfs|rootfs)$/.test(type)) return 'memory';
  if (/^(?:overlay|overlayfs|aufs)$/.test(type)) return 'layered';
  return type.startsWith('fuse') && type !== 'fuseblk' ? 'user space' : 'disk';
}

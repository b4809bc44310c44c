import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatSeconds } from '#proto/contract/quantity-text.ts';
import { GUARD_MS, type Subject } from '../subject/subject.ts';
import { fault, type Verdict } from '../verdict/check.ts';

/** Whether the data folder can be used at all. */

export type FolderSeen = {
  path: string;
  place: Subject['place'];
  /** Code of the error when it, or the nearest folder above a missing one, is opened for writing. */
  code?: string | undefined;
  /** Of a missing folder: the nearest one above. */
  above?: string | undefined;
};

export async function checkDataFolder({ folder, place }: Subject): Promise<Verdict> {
  const path = folder.root;
  if (place === 'unanswered') return folderVerdict({ path, place });
  if (place === 'present') return folderVerdict({ path, place, code: await writeCode(path) });
  const above = await nearestAbove(path);
  return folderVerdict({ path, place, above, code: await writeCode(above) });
}

async function writeCode(path: string): Promise<string | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return 'ENOTDIR';
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

async function nearestAbove(path: string): Promise<string> {
  for (let at = dirname(path); ; at = dirname(at)) {
    if (at === dirname(at) || (await stat(at).catch(() => undefined))) return at;
  }
}

/** Pure. */
export function folderVerdict({ path, place, code, above }: FolderSeen): Verdict {
  const refused = (what: string, remedy: string): Verdict => ({
    about: path,
    findings: [fault(what, remedy)],
  });
  if (place === 'unanswered') {
    const what = `the file system of ${path} does not answer within ${formatSeconds(GUARD_MS)}`;
    return refused(what, 'check its server and the network to it; processes that use it wait without end');
  }
  // The check file-system says so, with the mount.
  const isUsable = code === undefined || code === 'EROFS';
  if (place === 'missing') {
    return isUsable
      ? { unchecked: `${path} does not exist yet: the first start of the layer creates it` }
      : refused(
          `${path} does not exist, and ${above} can't be written (${code})`,
          'create it for the user of the layer',
        );
  }
  if (code === 'ENOTDIR') return refused(`${path} is no folder`, 'name a folder with --data');
  return isUsable
    ? { about: path }
    : refused(
        `${path} can't be read and written by this user (${code})`,
        `run this command as the user who owns it, with sudo -u; or give it to this user: chown ${process.getuid?.() ?? 'USER'} ${path}`,
      );
}

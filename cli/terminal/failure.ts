import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { Refusal } from './refusal.ts';
import { singleLine } from './terminal.ts';

/** Converts any error of a command into one sentence: cause and remedy. */

const NOT_WRITABLE = 'name a writable folder with --data';

/** `chown` for this user: a host folder that is mounted into a container belongs to the host user who created it. */
const giveToUser = (path: string): string =>
  `use the account that owns it, or give it to this user: chown ${process.getuid?.() ?? 'USER'} ${path}`;

function sentence(code: string, path: string): string | undefined {
  switch (code) {
    case 'EROFS':
      return `${path} can't be written (EROFS): its file system is mounted read-only: mount it writable, or ${NOT_WRITABLE}`;
    case 'EACCES':
    case 'EPERM':
      return `${path} can't be used (${code}): ${giveToUser(path)}`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `${path} can't be written (${code}): its file system is full: free space, then try again`;
    case 'ENOENT':
      return `${path} does not exist (ENOENT): name one that exists`;
    case 'ENOTDIR':
    case 'EISDIR':
    case 'EEXIST':
      return `${path} has the wrong type, file or folder (${code}): name another`;
    case 'EIO':
      return `${path} can't be read or written (EIO): its disk is failing: replace it, and restore the data folder`;
    case 'EMFILE':
    case 'ENFILE':
      return `too many files are open (${code}): raise the limit of open files (ulimit -n)`;
    default:
      return undefined;
  }
}

/** @param error any thrown value */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (Fault.is(error)) return new Refusal(error.message);
  const { code, path, syscall, message } = (error ?? {}) as NodeJS.ErrnoException;
  const text =
    code === undefined
      ? undefined
      : sentence(code, path ?? (syscall ? `the target of ${syscall}` : 'a file'));
  if (text) return new Refusal(text);
  return new Refusal(`${singleLine(message || String(error))}: set TERRACE_LOG=debug to see the stack trace`);
}

/**
 * The reason why a folder could not be created with its parents. Node reports ENOENT if the existing parents are on a
 * read-only file system, so this checks the access to the nearest existing one.
 */
export async function mkdirRefusal(path: string, error: NodeJS.ErrnoException): Promise<Refusal> {
  let folder = error.path ?? path;
  for (;;) {
    const failure = await access(folder, constants.W_OK | constants.X_OK).then(
      () => undefined,
      ({ code }: NodeJS.ErrnoException) => code,
    );
    const parent = dirname(folder);
    if (failure === 'ENOENT' && parent !== folder) folder = parent;
    else
      return new Refusal(
        `--data: ${sentence(failure ?? error.code ?? '', folder) ?? `${path}: ${error.message}`}`,
        2,
      );
  }
}

import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault, type FaultCode } from '#proto/contract/fault.ts';
import { EXIT_UNUSABLE } from '#proto/process/supervision.ts';
import { EXIT_NOT_PERMITTED, EXIT_TRY_AGAIN, EXIT_USAGE, Refusal } from './refusal.ts';
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

/** Exit codes of faults; 1 for all others. */
const exitCodesOfFaults: Partial<Record<FaultCode, number>> = {
  unavailable: EXIT_TRY_AGAIN,
  busy: EXIT_TRY_AGAIN,
  'too-many': EXIT_TRY_AGAIN,
  'too-slow': EXIT_TRY_AGAIN,
  'window-closed': EXIT_TRY_AGAIN,
  paused: EXIT_TRY_AGAIN,
  unauthorized: EXIT_NOT_PERMITTED,
  denied: EXIT_NOT_PERMITTED,
  'volume-unusable': EXIT_UNUSABLE,
};

/** @param message if it is not the fault's own */
export const faultRefusal = (fault: Fault, message = fault.message): Refusal =>
  new Refusal(singleLine(message), exitCodesOfFaults[fault.code], fault.code);

/** The exit code for an error code of the file system. @param otherwise if the right is not what lacks */
export const exitCodeOf = (code: string | undefined, otherwise = 1): number =>
  code === 'EACCES' || code === 'EPERM' ? EXIT_NOT_PERMITTED : otherwise;

/** @param error any thrown value */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (Fault.is(error)) return faultRefusal(error);
  const { code, path, syscall, message } = (error ?? {}) as NodeJS.ErrnoException;
  const text =
    code === undefined
      ? undefined
      : sentence(code, path ?? (syscall ? `the target of ${syscall}` : 'a file'));
  if (text) return new Refusal(text, exitCodeOf(code));
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
        exitCodeOf(failure ?? error.code, EXIT_USAGE),
      );
  }
}

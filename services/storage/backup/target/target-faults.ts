import { Fault } from '#proto/contract/fault.ts';

/** Maps an error of the file system of a backup target to a fault with a remedy. */
export function targetFault(error: unknown, target: string): unknown {
  if (error instanceof Fault) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new Fault(
        'no-space',
        `the backup target ${target} is full: free space there, keep fewer backups, or name another target`,
        { cause: error },
      );
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new Fault(
        'denied',
        `the backup target ${target} can't be used (${code}): mount it writable, for the account of the layer (uid ${process.getuid?.() ?? '?'})`,
        { cause: error },
      );
    case 'ENOENT':
    case 'ENOTDIR':
      return new Fault(
        'unavailable',
        `the backup target ${target} does not exist, as storage sees it (${code}): mount the medium, or create its parent folder`,
        { cause: error },
      );
    default:
      return new Fault(
        'unavailable',
        `the backup target ${target} failed (${code ?? message}): check the medium and its connection, then back up again`,
        { cause: error },
      );
  }
}

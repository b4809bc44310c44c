import { Fault } from '#proto/fault.ts';

/** LevelDB's errors as faults, where one fits. */
export function sorted(error: unknown): unknown {
  const { code, message, cause } = error as Error & { code?: string };
  if (code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN') {
    return new Fault('unavailable', 'storage is ending: ask again', { cause: error });
  }
  if (/no space left|quota exceeded/i.test(`${message} ${(cause as Error | undefined)?.message}`)) {
    return new Fault('no-space', 'the data volume is full: free space, then try again', { cause: error });
  }
  return error;
}

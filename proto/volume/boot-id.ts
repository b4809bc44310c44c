import { readFileSync } from 'node:fs';

/** Id of the machine's current boot; undefined if the system does not report it. */
export function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

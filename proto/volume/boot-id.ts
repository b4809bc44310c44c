import { readFileSync } from 'node:fs';

/** The same until the machine starts again; undefined where the system does not tell. */
export function bootOf(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

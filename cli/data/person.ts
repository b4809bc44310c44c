import { userInfo } from 'node:os';
import { personName } from '#proto/bus/caller.ts';

/** Who runs the command, for the audit: whoever became root to do it, too. */
export function personAtWork(env = process.env): string {
  try {
    return personName(env.SUDO_USER ?? userInfo().username);
  } catch {
    // In a container, a user may have no name.
    return `uid-${process.getuid?.()}`;
  }
}

import { userInfo } from 'node:os';
import { personName } from '#proto/bus/caller.ts';

/** The user who runs the command, for the audit log; with sudo, the user who called it. */
export function currentUser(env = process.env): string {
  try {
    return personName(env.SUDO_USER ?? userInfo().username);
  } catch {
    // In a container, a user may have no name.
    return `uid-${process.getuid?.()}`;
  }
}

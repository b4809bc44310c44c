import { text } from 'node:stream/consumers';
import { hashPassword, passwordComplaint, passwordIn } from '#proto/accounts/password-hash.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';

/**
 * Prints the hash of the password on stdin, for `passwords` of `tokens` and `children` in a configuration document.
 * @throws Refusal
 */
export async function printHash({ json }: { json?: boolean }): Promise<void> {
  if (process.stdin.isTTY) {
    printError('Type the password, then Enter and Ctrl-D. It is visible as you type: pipe it in to hide it.');
  }
  const password = passwordIn(await text(process.stdin));
  const why = passwordComplaint(password);
  if (why) throw new Refusal(`the password on stdin ${why}`, 2);
  const hash = await hashPassword(password);
  if (json) printJson(JSON.stringify({ hash }));
  else print(hash);
}

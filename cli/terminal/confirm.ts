import { createInterface } from 'node:readline/promises';
import { EXIT_USAGE, Refusal } from './refusal.ts';
import { printError } from './terminal.ts';

/**
 * Asks the person at the terminal whether to go on; `yes` answers for a script.
 * @param risk one sentence
 * @throws Refusal if the answer is no, or nobody can be asked
 */
export async function confirm(
  risk: string,
  yes: boolean,
  input: NodeJS.ReadStream = process.stdin,
): Promise<void> {
  if (yes) return;
  if (!input.isTTY)
    throw new Refusal(`${risk} Confirm with --yes where no terminal can be asked`, EXIT_USAGE);
  printError(risk);
  const lines = createInterface({ input, output: process.stderr });
  try {
    const answer = await lines.question('Go on? [y/N] ');
    if (!/^y(?:es)?$/i.test(answer.trim())) throw new Refusal('not confirmed: nothing was changed');
  } finally {
    lines.close();
  }
}

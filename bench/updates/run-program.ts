import { type ExecFileOptions, execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Max output of a program that is kept, in bytes; builds print much. */
const MAX_OUTPUT = 256 * 1024 * 1024;
/** Max length of the output in a message, in characters. */
const MAX_SHOWN = 4_000;

/** Runs a program. @returns its stdout. @throws with the end of its output */
export async function run(
  program: string,
  parameters: readonly string[],
  options: ExecFileOptions = {},
): Promise<string> {
  try {
    const { stdout } = await execute(program, parameters, {
      maxBuffer: MAX_OUTPUT,
      ...options,
      encoding: 'utf8',
    });
    return stdout;
  } catch (cause) {
    const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string };
    const output = `${stdout}${stderr}`.slice(-MAX_SHOWN);
    throw new Error(`${program} ${parameters.join(' ')} failed: ${output || (cause as Error).message}`, {
      cause,
    });
  }
}

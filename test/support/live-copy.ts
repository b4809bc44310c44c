import { execFile } from 'node:child_process';

/**
 * `cp -a` of a folder whose files come and go meanwhile: what has gone is left out, as that program does.
 * @throws for any other reason that something was not copied
 */
export async function copyLive(from: string, to: string): Promise<void> {
  const env = { ...process.env, LC_ALL: 'C' };
  await new Promise<void>((resolve, reject) => {
    execFile('cp', ['-a', from, to], { env }, (error, _stdout, stderr) => {
      const others = stderr
        .split('\n')
        .filter((line) => line && !line.endsWith(': No such file or directory'));
      if (error && (others.length > 0 || !stderr)) reject(new Error(stderr || error.message));
      else resolve();
    });
  });
}

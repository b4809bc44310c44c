import { execFile } from 'node:child_process';

/**
 * `cp -a` of a folder whose files change meanwhile. As with `cp`, files that are deleted during the copy are left out.
 * @throws on any other error
 */
export async function copyLive(from: string, to: string): Promise<void> {
  const env = { ...process.env, LC_ALL: 'C' };
  await new Promise<void>((resolve, reject) => {
    execFile('cp', ['-a', from, to], { env }, (error, _stdout, stderr) => {
      const errors = stderr
        .split('\n')
        .filter((line) => line && !line.endsWith(': No such file or directory'));
      if (error && (errors.length > 0 || !stderr)) reject(new Error(stderr || error.message));
      else resolve();
    });
  });
}

import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A volume in memory of so many MiB and inodes, or undefined where this process may not mount one. */
export async function smallVolume(mebibytes: number, inodes = 0): Promise<SmallVolume | undefined> {
  const path = await mkdtemp(join(tmpdir(), 'terrace-full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,nr_inodes=${inodes}`, 'tmpfs', path], {
      stdio: 'ignore',
    });
  } catch {
    await rm(path, { recursive: true, force: true });
    return undefined;
  }
  return new SmallVolume(path);
}

export class SmallVolume implements AsyncDisposable {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Leaves about `bytes` of room. @returns what makes it again */
  async fill(bytes: number): Promise<() => Promise<void>> {
    const { bavail, bsize } = await statfs(this.path);
    await writeFile(join(this.path, 'filler'), Buffer.alloc(Math.max(0, bavail * bsize - bytes)));
    return () => rm(join(this.path, 'filler'));
  }

  /** Nothing can be written until it is disposed of. */
  readOnly(): void {
    execFileSync('mount', ['-o', 'remount,ro', this.path]);
  }

  /** Leaves so many inodes. @returns what makes the others again */
  async fillInodes(left: number): Promise<() => Promise<void>> {
    const folder = join(this.path, 'files');
    await mkdir(folder, { recursive: true });
    const { ffree } = await statfs(this.path);
    for (let index = 0; index < ffree - left; index += 1) await writeFile(join(folder, String(index)), '');
    return () => rm(folder, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    execFileSync('umount', [this.path]);
    await rm(this.path, { recursive: true, force: true });
  }
}

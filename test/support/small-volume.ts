import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Mounts a tmpfs of this size. `inodes` 0: unlimited. @returns undefined if this process may not mount */
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

  /** Fills the volume until about `bytes` are free. @returns a function that frees the space again */
  async fill(bytes: number): Promise<() => Promise<void>> {
    const { bavail, bsize } = await statfs(this.path);
    await writeFile(join(this.path, 'filler'), Buffer.alloc(Math.max(0, bavail * bsize - bytes)));
    return () => rm(join(this.path, 'filler'));
  }

  /** Remounts the volume read-only, until it is disposed. */
  readOnly(): void {
    execFileSync('mount', ['-o', 'remount,ro', this.path]);
  }

  /** Uses all inodes but `left`. @returns a function that frees them again */
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

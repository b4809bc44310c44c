import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A volume in memory of so many MiB, or undefined where this process may not mount one. */
export async function smallVolume(mebibytes: number): Promise<SmallVolume | undefined> {
  const path = await mkdtemp(join(tmpdir(), 'terrace-full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path], { stdio: 'ignore' });
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

  async [Symbol.asyncDispose](): Promise<void> {
    execFileSync('umount', [this.path]);
    await rm(this.path, { recursive: true, force: true });
  }
}

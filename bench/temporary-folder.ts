import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Content, pieces } from '../test/support/registry/content.ts';

/** A folder for one subject, deleted with it. */
export class TemporaryFolder implements AsyncDisposable {
  readonly path: string;

  static async create(): Promise<TemporaryFolder> {
    return new TemporaryFolder(await mkdtemp(join(tmpdir(), 'terrace-bench-')));
  }

  private constructor(path: string) {
    this.path = path;
  }

  /** Writes content to a file. @returns its digest */
  async write(name: string, content: Content): Promise<string> {
    const hash = createHash('sha256');
    const source = function* () {
      for (const piece of pieces(content)) {
        hash.update(piece);
        yield piece;
      }
    };
    await pipeline(source, createWriteStream(join(this.path, name)));
    return `sha256:${hash.digest('hex')}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

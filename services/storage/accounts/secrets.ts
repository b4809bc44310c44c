import { type FileHandle, open } from 'node:fs/promises';
import { hashPassword, matches, passwordIn, whyNoPassword } from '#proto/accounts/password-hash.ts';

/** More than any password takes, whatever stands around it. */
const MAX_BYTES = 4_096;

/** Hashes of what secret files hold. A file that has not changed is not hashed again. */
export class Secrets {
  /** By path: which state of the file the hash is of. */
  readonly #seen = new Map<string, { print: string; hash: string }>();

  /**
   * @param known the hash that the record has: it stays where it is that of the same password
   * @returns the hash, or why there is none, in words that follow the path
   */
  async hashOf(path: string, known: string | undefined): Promise<{ hash: string } | { why: string }> {
    let text: string;
    let print: string;
    try {
      await using file = await open(path);
      print = await printOf(file);
      const seen = this.#seen.get(path);
      if (seen && seen.print === print && seen.hash === known) return { hash: seen.hash };
      text = await read(file);
    } catch (error) {
      return { why: `can't be read (${(error as NodeJS.ErrnoException).code}): mount it there` };
    }
    const password = passwordIn(text);
    const why = whyNoPassword(password);
    if (why) return { why };
    const same = known !== undefined && (await matches(password, known));
    const hash = same ? known : await hashPassword(password);
    this.#seen.set(path, { print, hash });
    return { hash };
  }
}

/** Of a mounted secret, a new content is a new file behind the same links. */
async function printOf(file: FileHandle): Promise<string> {
  const { dev, ino, size, mtimeMs, ctimeMs } = await file.stat();
  return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
}

async function read(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0);
  return buffer.toString('utf8', 0, bytesRead);
}

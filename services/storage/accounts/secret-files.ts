import { type FileHandle, open } from 'node:fs/promises';
import {
  hashPassword,
  passwordComplaint,
  passwordIn,
  verifyPassword,
} from '#proto/accounts/password-hash.ts';

/** Max bytes read of a secret file: more than any password takes, with the text around it. */
const MAX_BYTES = 4_096;

/** Hashes of the passwords in secret files. An unchanged file is not hashed again. */
export class SecretFiles {
  /** By path: the hash, and the fingerprint of the file that it was made from. */
  readonly #seen = new Map<string, { fingerprint: string; hash: string }>();

  /**
   * @param known the stored hash: returned again if it matches the password
   * @returns the hash, or the reason why it is missing, worded to follow the path
   */
  async hashOf(path: string, known: string | undefined): Promise<{ hash: string } | { why: string }> {
    let text: string;
    let fingerprint: string;
    try {
      await using file = await open(path);
      fingerprint = await fingerprintOf(file);
      const seen = this.#seen.get(path);
      if (seen && seen.fingerprint === fingerprint && seen.hash === known) return { hash: seen.hash };
      text = await read(file);
    } catch (error) {
      return { why: `can't be read (${(error as NodeJS.ErrnoException).code}): mount it there` };
    }
    const password = passwordIn(text);
    const why = passwordComplaint(password);
    if (why) return { why };
    const isSame = known !== undefined && (await verifyPassword(password, known));
    const hash = isSame ? known : await hashPassword(password);
    this.#seen.set(path, { fingerprint, hash });
    return { hash };
  }
}

/** Includes device and inode: an update of a mounted secret is a new file behind the same links. */
async function fingerprintOf(file: FileHandle): Promise<string> {
  const { dev, ino, size, mtimeMs, ctimeMs } = await file.stat();
  return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
}

async function read(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0);
  return buffer.toString('utf8', 0, bytesRead);
}

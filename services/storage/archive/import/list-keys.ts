import { readFile, stat } from 'node:fs/promises';
import { setName } from '#proto/archive/set-names.ts';
import { isSignedBy, MAX_KEY_BYTES } from '#proto/archive/signature.ts';
import { Fault } from '#proto/contract/fault.ts';

/** Public keys by which a list must be signed; none: it needs no signature. */
export type ListKeys = {
  /** Paths. */
  files: readonly string[];
  /** Of senders with keys of their own: paths, and the field that names them. */
  bySender?: ReadonlyMap<string, { files: readonly string[]; field: string }>;
};

/** Checks the signatures of lists. */
export class Signatures {
  readonly #keys: ListKeys;
  readonly #general: readonly string[];

  /** @throws Fault `archive-invalid` if a key that is not of one sender can't be read */
  static async open(keys: ListKeys): Promise<Signatures> {
    return new Signatures(keys, await Promise.all(keys.files.map(readKey)));
  }

  private constructor(keys: ListKeys, general: readonly string[]) {
    this.#keys = keys;
    this.#general = general;
  }

  /** Whether the sender has to be known first: the name of the set does not say where the name of its sender ends. */
  dependOnSender(set: string): boolean {
    return [...(this.#keys.bySender?.keys() ?? [])].some((sender) => set.startsWith(beginOf(sender)));
  }

  /**
   * @param sender undefined: none that has keys of its own
   * @returns whether there is a key
   * @throws Fault `denied`
   */
  async check(
    sender: string | undefined,
    bytes: Uint8Array,
    signature: Buffer | undefined,
  ): Promise<boolean> {
    const own = sender === undefined ? undefined : this.#keys.bySender?.get(sender);
    const keys = own ? await Promise.all(own.files.map(readKey)) : this.#general;
    if (keys.length === 0) return false;
    if (!signature) throw new Fault('denied', 'it is not signed: export it again with --sign');
    if (isSignedBy(bytes, signature.toString('latin1'), keys)) return true;
    throw new Fault(
      'denied',
      own
        ? `its signature is not by a key of ${own.field}: do not import it, or add the key of ${sender} there`
        : 'its signature is not by a key that is trusted here: do not import it',
    );
  }
}

/** Beginning of the names of all sets of a sender. */
const beginOf = (sender: string): string => setName(sender, '', 0).slice(0, -'-000000'.length);

async function readKey(path: string): Promise<string> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile() && stats.size <= MAX_KEY_BYTES) return readFile(path, 'utf8');
  throw new Fault(
    'archive-invalid',
    `the key ${path} can't be read: name a file with a public key in PEM, as the layer sees it`,
  );
}

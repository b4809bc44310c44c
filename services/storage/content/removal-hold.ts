/** Max files that are deleted at the end of a hold; more are left to the next garbage collection. */
const MAX_DEFERRED = 100_000;

/** What holds the files of content, and until when at most, in ms since 1970; `files`: deletions that wait. */
export type FileHold = { reason: string; since: number; files: number };

/**
 * Holds back the deletion of content files while a backup copies them: their records are deleted as always. Held in
 * memory only, so a killed storage holds nothing; files without a record that it leaves are deleted by garbage
 * collection.
 */
export class RemovalHold {
  #held: { reason: string; since: number } | undefined;
  #files = new Set<string>();
  #count = 0;

  /** Undefined without a hold. */
  get current(): FileHold | undefined {
    return this.#held && { ...this.#held, files: this.#count };
  }

  /** One at a time. @param since wall clock, in ms since 1970 */
  begin(reason: string, since: number): void {
    this.#held = { reason, since };
  }

  /** @returns whether the deletion of this file waits */
  defer(digest: string): boolean {
    if (!this.#held) return false;
    this.#count += 1;
    if (this.#files.size < MAX_DEFERRED) this.#files.add(digest);
    return true;
  }

  /** @returns the digests whose files are to be deleted, if still nothing names them */
  end(): Set<string> {
    const files = this.#files;
    this.#held = undefined;
    this.#files = new Set();
    this.#count = 0;
    return files;
  }
}

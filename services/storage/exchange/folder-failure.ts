import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { AnsweringFolders } from './answering-folders.ts';

export type Failure = { since: number; reason: string };

type FolderDeps = {
  folder: string;
  answering: Pick<AnsweringFolders, 'mustAnswer'>;
  log: Log;
  /** Wall clock, in ms since 1970. */
  now: () => number;
};

/** Why a folder can not be used now, and since when. A reason is logged when it is new. */
export class FolderFailure {
  readonly #deps: FolderDeps;
  readonly #message: string;
  #current: Failure | undefined;

  /** @param message of the log line */
  constructor(deps: FolderDeps, message: string) {
    this.#deps = deps;
    this.#message = message;
  }

  /** For the status. */
  get field(): { failure?: Failure } {
    return this.#current ? { failure: this.#current } : {};
  }

  note(text: string): void {
    const { folder, log, now } = this.#deps;
    const reason = clip(text, MAX_REASON_LENGTH);
    if (this.#current?.reason === reason) return;
    log.warn({ folder, reason }, this.#message);
    this.#current = { since: this.#current?.since ?? now(), reason };
  }

  clear(): void {
    this.#current = undefined;
  }

  /** Notes a folder that does not answer. @returns whether it does */
  async answers(): Promise<boolean> {
    const { folder, answering } = this.#deps;
    try {
      await answering.mustAnswer(folder);
      return true;
    } catch (error) {
      if (!Fault.is(error)) throw error;
      this.note(error.message);
      return false;
    }
  }
}

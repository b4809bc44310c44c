import { statfs } from 'node:fs/promises';
import { Fault } from '#proto/contract/fault.ts';

/** Time in which a folder has to answer, in ms: a disk may have to spin up. */
const MAX_ANSWER_MS = 15_000;
/** Each folder that does not answer holds a thread for files, of those in cli/layer/programs.ts. */
const MAX_UNANSWERED = 4;

/**
 * Folders of media that may hang: a share that is mounted hard answers nothing, and fails nothing, while its server is
 * away. A folder is asked before it is used; while a question is open, the folder is left alone, so that it holds one
 * thread only. Once it answers, it is used again.
 */
export class AnsweringFolders {
  readonly #ask: (folder: string) => Promise<unknown>;
  readonly #maxAnswerMs: number;
  readonly #unanswered = new Map<string, Promise<boolean>>();

  /** @param ask of the file system, not of a cache */
  constructor(ask: (folder: string) => Promise<unknown> = statfs, maxAnswerMs = MAX_ANSWER_MS) {
    this.#ask = ask;
    this.#maxAnswerMs = maxAnswerMs;
  }

  /** An error of the file system is an answer. @throws Fault `unavailable` */
  async mustAnswer(folder: string): Promise<void> {
    const isOpen = this.#unanswered.has(folder);
    if (!isOpen && this.#unanswered.size < MAX_UNANSWERED) {
      const answered = this.#ask(folder)
        .then(
          () => true,
          () => true,
        )
        .finally(() => this.#unanswered.delete(folder));
      this.#unanswered.set(folder, answered);
      const { promise: late, resolve } = Promise.withResolvers<boolean>();
      const timer = setTimeout(resolve, this.#maxAnswerMs, false);
      const isAnswered = await Promise.race([answered, late]);
      clearTimeout(timer);
      if (isAnswered) return;
    }
    throw new Fault(
      'unavailable',
      this.#unanswered.has(folder)
        ? `${folder} does not answer: check the medium, or the server of the share; it is used again once it answers`
        : `${folder} is not used while ${[...this.#unanswered.keys()].join(', ')} do not answer: check these media`,
    );
  }
}

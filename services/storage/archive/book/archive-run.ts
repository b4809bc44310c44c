import { setImmediate as turn } from 'node:timers/promises';
import { Fault } from '#proto/contract/fault.ts';

/** The progress of an export or import, and its end. */
export class ArchiveRun {
  readonly #abort = new AbortController();
  #step = 'reading the metadata';
  #done = 0;
  #total = 0;

  /** @param total bytes of this step */
  begin(step: string, total = 0): void {
    this.#step = step;
    this.#done = 0;
    this.#total = total;
  }

  /** Counts bytes that are done. @throws Fault `unavailable` if the run was stopped */
  add(bytes: number): void {
    this.mustGoOn();
    this.#done += bytes;
  }

  /** Lets other work run. @throws Fault `unavailable` if the run was stopped */
  async pause(): Promise<void> {
    await turn();
    this.mustGoOn();
  }

  mustGoOn(): void {
    if (this.#abort.signal.aborted)
      throw new Fault('unavailable', 'it was stopped: nothing was changed, run it again');
  }

  stop(): void {
    this.#abort.abort();
  }

  get progress(): { step: string; done: number; total: number } {
    return { step: this.#step, done: this.#done, total: this.#total };
  }
}

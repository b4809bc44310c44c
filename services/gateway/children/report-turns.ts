import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Quota } from './quota.ts';

/** Max reports of one child at a time: one is processed, and one is received or waits for its turn. */
export const MAX_REPORTS_EACH = 2;
/** Max reports of all children at a time. */
export const MAX_REPORTS = 64;
const RETRY_AFTER_S = 2;

/**
 * Processes one report of each child at a time. A child sends the next one when it has the answer to the last. After
 * its connection broke, the previous report may still be received or processed, and the new one takes the second slot.
 */
export class ReportTurns {
  readonly #quota = new Quota(MAX_REPORTS);
  /**
   * Wider than the lock of `ChildReports`: also around unpacking and parsing, so that the memory of one report of a
   * child is in use at a time.
   */
  readonly #locks = new KeyedLock();

  /** Takes the slot of a report, from before its body is read until it is disposed of. @throws Fault `too-many` */
  admit(child: string): Disposable {
    const slot = this.#quota.take(child, MAX_REPORTS_EACH);
    if (slot === 'each') throw tooMany(`${child} already has ${MAX_REPORTS_EACH} reports in progress`);
    if (slot === 'all') throw tooMany(`${MAX_REPORTS} reports of layers below are already in progress`);
    return slot;
  }

  /** Runs `work` when no other report of the child is processed. */
  run<T>(child: string, work: () => Promise<T>): Promise<T> {
    return this.#locks.run(child, work);
  }
}

const tooMany = (message: string) =>
  new Fault('too-many', `${message}: try again in ${RETRY_AFTER_S} s`, {
    detail: { retryAfter: RETRY_AFTER_S },
  });

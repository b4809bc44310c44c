import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Quota } from './quota.ts';

/** Reports of one child that are held at a time: one is taken, and one comes in or waits for its turn. */
export const MAX_REPORTS_EACH = 2;
/** Of all children together. */
export const MAX_REPORTS = 64;
const RETRY_AFTER_S = 2;

/**
 * One report of each child at a time. A child sends the next one when it has the answer to the last; where its
 * connection broke, the report before may still be coming in or being taken, and the new one finds a place beside it.
 */
export class ReportTurns {
  readonly #quota = new Quota(MAX_REPORTS);
  readonly #turns = new KeyedLock();

  /** The place of a report, from before its body is read until it is disposed of. @throws Fault `too-many` */
  admit(child: string): Disposable {
    const place = this.#quota.take(child, MAX_REPORTS_EACH);
    if (place === 'each') throw tooMany(`${child} sends another report before the last one is answered`);
    if (place === 'all') throw tooMany('too many layers report at this moment');
    return place;
  }

  /** Runs `work` when no other report of the child is being taken. */
  run<T>(child: string, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(child, work);
  }
}

const tooMany = (message: string) =>
  new Fault('too-many', `${message}: try again in ${RETRY_AFTER_S} s`, {
    detail: { retryAfter: RETRY_AFTER_S },
  });

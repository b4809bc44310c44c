import { Fault } from '#proto/contract/fault.ts';

/** Max open streams of this process, and of one account. */
export const MAX_VIEWERS = 200;
export const MAX_VIEWERS_PER_ACCOUNT = 20;
const RETRY_S = 10;

/** Counts open streams. */
export class ViewerSlots {
  readonly #byAccount = new Map<string, number>();
  #total = 0;

  /** @throws Fault `too-many` */
  take(account: string): Disposable {
    const ofAccount = this.#byAccount.get(account) ?? 0;
    if (this.#total >= MAX_VIEWERS || ofAccount >= MAX_VIEWERS_PER_ACCOUNT) {
      const limit = ofAccount >= MAX_VIEWERS_PER_ACCOUNT ? MAX_VIEWERS_PER_ACCOUNT : MAX_VIEWERS;
      throw new Fault(
        'too-many',
        `${limit} streams of events are open: end some, or try again in ${RETRY_S} s`,
        {
          detail: { retryAfter: RETRY_S },
        },
      );
    }
    this.#byAccount.set(account, ofAccount + 1);
    this.#total += 1;
    let isTaken = true;
    return {
      [Symbol.dispose]: () => {
        if (isTaken) this.#release(account);
        isTaken = false;
      },
    };
  }

  #release(account: string): void {
    const left = (this.#byAccount.get(account) ?? 1) - 1;
    if (left > 0) this.#byAccount.set(account, left);
    else this.#byAccount.delete(account);
    this.#total -= 1;
  }
}

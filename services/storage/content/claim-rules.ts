import { CLAIM_RENEW_MS, CLAIM_TTL_MS } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { IngestRecord } from '../metadata/records.ts';

/** Lifetime of claims. */
export class ClaimRules {
  readonly #now: () => number;
  readonly #started: number;

  constructor(now: () => number) {
    this.#now = now;
    this.#started = now();
  }

  /**
   * Remaining time of the claim, in ms. A claim may have expired while storage was down: after a start, its holder has
   * two renewal intervals to renew it. An expiry further ahead than the TTL of a claim was set before the clock was set
   * back, and is ignored.
   */
  left({ claim }: IngestRecord): number {
    if (!claim) return 0;
    const now = this.#now();
    const possible = (left: number) => (left <= CLAIM_TTL_MS ? left : 0);
    const afterStart = this.#started + 2 * CLAIM_RENEW_MS - now;
    return Math.max(0, possible(claim.until - now), possible(afterStart));
  }

  /** @throws Fault `busy` */
  mustBeFree(id: string, record: IngestRecord): void {
    const left = this.left(record);
    if (record.claim && left > 0) this.busy(id, record.claim.by, left);
  }

  busy(id: string, by: string, left: number): never {
    throw new Fault('busy', `${id} is held by ${by} for ${Math.ceil(left / 1_000)} s, unless it is renewed`, {
      detail: { leftMs: left },
    });
  }
}

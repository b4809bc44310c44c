import type { HeldContent, HeldReason } from '#proto/content/held-content.ts';

/** Content that is held for one reason, by the time that is left of it, in ms. */
type Total = { count: number; bytes: number; manifests: number; first: number; last: number };

/** Counts what is held, by reason. */
export class HeldTotals {
  readonly #totals = new Map<HeldReason, Total>();

  /** @param leftMs until it is not held any more; undefined if no time ends it */
  add(reason: HeldReason, bytes: number, leftMs?: number, count = 1): void {
    const total = this.#of(reason);
    total.count += count;
    total.bytes += bytes;
    if (leftMs === undefined) return;
    total.first = Math.min(total.first, leftMs);
    total.last = Math.max(total.last, leftMs);
  }

  addManifests(reason: HeldReason, count: number): void {
    if (count > 0) this.#of(reason).manifests += count;
  }

  /** @param wall now, in ms since 1970 */
  list(wall: number): HeldContent[] {
    return [...this.#totals].map(([reason, { count, bytes, manifests, first, last }]) => ({
      reason,
      count,
      bytes,
      ...(manifests > 0 && { manifests }),
      ...(first <= last && { from: instantOf(wall + first), until: instantOf(wall + last) }),
    }));
  }

  #of(reason: HeldReason): Total {
    const known = this.#totals.get(reason);
    if (known) return known;
    const total = {
      ...{ count: 0, bytes: 0, manifests: 0 },
      ...{ first: Number.POSITIVE_INFINITY, last: Number.NEGATIVE_INFINITY },
    };
    this.#totals.set(reason, total);
    return total;
  }
}

const instantOf = (instant: number): number => Math.max(0, Math.round(instant));

import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { LEASE_MS } from '#proto/status/status.ts';

/** How long an entry must have been without a renewal before another holder replaces it, in ms. */
export const STUCK_MS = 3 * LEASE_MS;
/** Max entries that are remembered. */
const MAX_ENTRIES = 1_000;

/**
 * Entries of leases that this process found held by another holder. The bus deletes an entry by its wall clock. If that
 * was set back, the entry of a killed holder would stay for decades: it is replaced once its revision has been the same
 * for `STUCK_MS`, in which its holder has given it up.
 */
export class HeldEntries {
  readonly #seen = new BoundedMap<{ revision: number; since: number }>(MAX_ENTRIES);

  /** @param now monotonic, in ms */
  isStuck(key: string, revision: number, now: number): boolean {
    const seen = this.#seen.get(key);
    if (seen?.revision === revision) return now - seen.since >= STUCK_MS;
    this.#seen.set(key, { revision, since: now });
    return false;
  }
}

const byBus = new WeakMap<object, HeldEntries>();

/** Shared by all leases on one bus: each attempt to acquire one is an object of its own. */
export function heldEntriesOf(bus: object): HeldEntries {
  const entries = byBus.get(bus) ?? new HeldEntries();
  byBus.set(bus, entries);
  return entries;
}

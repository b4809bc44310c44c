import { LEASE_MS } from '#proto/status/status.ts';

/** How long an entry must have been without a renewal before another holder replaces it, in ms. */
export const STUCK_MS = 3 * LEASE_MS;
/** Max entries that are remembered; the oldest is forgotten first. */
const MAX_ENTRIES = 1_000;

/**
 * Entries of leases that this process found held by another holder. The bus deletes an entry by its wall clock. If that
 * was set back, the entry of a killed holder would stay for decades: it is replaced once its revision has been the same
 * for `STUCK_MS`, in which its holder has given it up.
 */
export class HeldEntries {
  readonly #seen = new Map<string, { revision: number; since: number }>();

  /** @param now monotonic, in ms */
  isStuck(key: string, revision: number, now: number): boolean {
    const seen = this.#seen.get(key);
    if (seen?.revision === revision) return now - seen.since >= STUCK_MS;
    this.#seen.delete(key);
    this.#seen.set(key, { revision, since: now });
    if (this.#seen.size > MAX_ENTRIES) this.#seen.delete(this.#seen.keys().next().value as string);
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

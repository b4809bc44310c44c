import { type Change, set } from './batch-changes.ts';
import { RecordCounters, type StoredCounts } from './counters.ts';
import { keys } from './keys.ts';

/**
 * The stored counters, from which an opening knows the totals without reading the records:
 *
 *   z!<number>   StoredCounts
 *
 * Batches are written concurrently, and in any order, so none of them can store the totals. Instead, each batch adds to
 * a record of its own, a stripe, that no other batch writes meanwhile. The totals are the sums over all stripes. They
 * hold after every crash, as a stripe is written in the batch that it counts. There are as many stripes as batches were
 * ever written at a time.
 */
export class CounterStripes {
  readonly #stripes: Map<number, StoredCounts>;
  readonly #free: number[];

  constructor(stored: Iterable<[number: number, counts: StoredCounts]>) {
    this.#stripes = new Map(stored);
    this.#free = [...this.#stripes.keys()];
  }

  /** The sums. */
  get totals(): StoredCounts {
    const sums = new RecordCounters();
    for (const counts of this.#stripes.values()) sums.merge(counts);
    return sums.stored;
  }

  /** All stripes, for a batch. No other batch may be in flight. */
  get changes(): Change[] {
    return [...this.#stripes].map(([number, counts]) => set(keys.counters(number), counts));
  }

  /**
   * Write `changes` in the batch that adds these counts. Call `written` once it is written: after a failed write it is
   * unknown what the stripe holds, and it is not used again.
   */
  add(added: StoredCounts): { changes: Change[]; written: () => void } {
    if (Object.keys(added).length === 0) return { changes: [], written: () => {} };
    const number = this.#free.pop() ?? this.#stripes.size;
    const sums = new RecordCounters();
    sums.merge(this.#stripes.get(number) ?? {});
    sums.merge(added);
    const { stored } = sums;
    this.#stripes.set(number, stored);
    return { changes: [set(keys.counters(number), stored)], written: () => void this.#free.push(number) };
  }
}

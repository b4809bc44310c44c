import type { StateReader, StateWriter } from '#proto/bus/roles.ts';
import { SAVINGS_KEY, type Savings, savedTotals } from '#proto/status/status.ts';

/** Attempts to write that are lost to other syncers before the next report is waited for. */
const MAX_ATTEMPTS = 5;

/** Adds what this process saved to the totals of the layer, which outlive it. They begin with the first saved byte. */
export class SavedTotals {
  readonly #bus: Pick<StateReader, 'get'> & Pick<StateWriter, 'swap'>;
  /** What of this process is in the totals. */
  #added: Savings | undefined;
  #latest: Savings | undefined;
  #adding = Promise.resolve();
  #isAdding = false;
  /** There were no totals when this process first asked. */
  #areAbsent = false;

  constructor(bus: Pick<StateReader, 'get'> & Pick<StateWriter, 'swap'>) {
    this.#bus = bus;
  }

  /** @param savings of this process, since its start @throws Fault `unavailable`; they are added with the next ones */
  add(savings: Savings): Promise<void> {
    this.#latest = savings;
    if (!this.#isAdding && this.#hasMore) this.#adding = this.#add();
    return this.#adding;
  }

  get #hasMore(): boolean {
    const savings = this.#latest;
    return (
      savings !== undefined && !isSame(savings, this.#added) && !(this.#areAbsent && !hasWorked(savings))
    );
  }

  async #add(): Promise<void> {
    this.#isAdding = true;
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS && this.#hasMore; ) {
        const savings = this.#latest as Savings;
        const current = await this.#bus.get(savedTotals, SAVINGS_KEY);
        this.#areAbsent = !current;
        // What is reported since then may have worked.
        if (!current && !hasWorked(savings)) continue;
        // The totals may have been lost.
        const totals = current ? sumOf(current.value, savings, this.#added) : withoutTime(savings);
        const revision = await this.#bus.swap(savedTotals, SAVINGS_KEY, totals, current?.revision ?? 0);
        if (revision === undefined) attempt += 1;
        else this.#added = savings;
      }
    } finally {
      // In the same turn as the last check, so that no later report is left out.
      this.#isAdding = false;
    }
  }
}

const COUNTS = ['saved', 'crossed', 'transfers', 'mismatched', 'cpuMs'] as const;

const isSame = (one: Savings, other: Savings | undefined): boolean =>
  COUNTS.every((count) => one[count] === (other?.[count] ?? 0));

const hasWorked = ({ transfers, mismatched, cpuMs }: Savings): boolean => transfers + mismatched + cpuMs > 0;

/** Without `before`, which is in the totals. */
function sumOf(totals: Savings, savings: Savings, before: Savings | undefined): Savings {
  const sum = withoutTime(totals);
  for (const count of COUNTS) sum[count] += savings[count] - (before?.[count] ?? 0);
  return sum;
}

/** When the last mismatch was is known of the processes that run. */
function withoutTime({ mismatchedAt: _, ...savings }: Savings): Savings {
  return savings;
}

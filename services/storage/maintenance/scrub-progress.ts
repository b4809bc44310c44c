import type { ScrubProgress } from '#proto/content/maintenance.ts';

/** Time after which a rate is known, in ms. */
const MIN_MEASURED_MS = 1_000;

type ScrubTotals = { blobs: number; bytes: number };

/** How far one scrub is, for those who watch it. */
export class ScrubRun {
  readonly #began = performance.now();
  readonly #started: number;
  readonly #totals: ScrubTotals;
  checked = 0;
  bytes = 0;
  damaged = 0;

  /** @param started wall clock, in ms since 1970 @param totals what the layer has when the scrub begins */
  constructor(started: number, totals: ScrubTotals) {
    this.#started = Math.max(0, started);
    this.#totals = totals;
  }

  get progress(): ScrubProgress {
    const { checked, bytes, damaged } = this;
    // Content that is committed meanwhile is read as well.
    const of = { blobs: Math.max(this.#totals.blobs, checked), total: Math.max(this.#totals.bytes, bytes) };
    const ms = performance.now() - this.#began;
    const rate = ms < MIN_MEASURED_MS ? 0 : Math.round((bytes * 1_000) / ms);
    return {
      ...{ started: this.#started, checked, bytes, damaged },
      ...of,
      ...(rate > 0 && { rate, left: Math.ceil((of.total - bytes) / rate) }),
    };
  }
}

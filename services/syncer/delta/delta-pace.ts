import { availableParallelism, loadavg } from 'node:os';
import type { EventListener } from '#proto/bus/roles.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import type { Digest } from '#proto/oci/names.ts';
import { deltaApplied, deltaFailed, deltaMade } from '#proto/sync/delta-jobs.ts';
import {
  type Direction,
  transferDelayed,
  transferFailed,
  transferFinished,
  transferPaused,
  transferProgressed,
  transferStarted,
} from '#proto/sync/transfers.ts';
import { average, LinkRate } from './link-rate.ts';
import { type Pace, START_MS } from './worth.ts';

/** Rates before the first measurement, in bytes/s of targets. */
const APPLYING = 20_000_000;
const MAKING = 5_000_000;
/** Min processor time, or elapsed time, of a measurement, in ms. */
const MIN_MEASURED_MS = 20;
/** Time for which no delta is taken whose target is as large as one that could not be applied, in ms. */
const TOO_LARGE_MS = 30 * 60_000;
/** Max time that deltas have saved, of which waits in vain may cost as much, in ms. */
const MAX_SAVED_MS = 10 * 60_000;
/** Stands for the id of a pass in the events of prefetches: those are as fast as the parent's own link at first. */
const PREFETCH = 'arriving';

export type DeltaPaceOptions = {
  link?: LinkRate;
  /** Limit of the link, in bytes/s; undefined without one. */
  limit?: () => number | undefined;
  /** Processes that are ready to run. */
  load?: () => number;
  /** Max time of an application, in ms; undefined: it is unknown. */
  timeMs?: () => number | undefined;
  /** Monotonic clock, in ms. */
  now?: () => number;
};

/** Measures what decides whether deltas save time, from events of all syncers. Of one coordinator. */
export class DeltaPace {
  readonly #limit: () => number | undefined;
  readonly #load: () => number;
  readonly #timeMs: () => number | undefined;
  readonly #clock: () => number;
  /** Targets from `bytes` on are too large for this layer until then. */
  #tooLarge: { bytes: number; until: number } | undefined;
  #parent: string | undefined;
  #link: LinkRate;
  /** On the way up. */
  #pushLink = new LinkRate();
  #applying: number | undefined;
  #making: number | undefined;
  #savedMs = 0;
  /** Blobs that are being prefetched, and of which the parent has all: while there is one, the link has all to do. */
  readonly #atParent = new Set<Digest>();
  /** In this layer, with one processor to itself. */
  #makingHere: number | undefined;

  constructor({
    link,
    limit,
    load = () => loadavg()[0] ?? 0,
    timeMs = () => undefined,
    now = () => performance.now(),
  }: DeltaPaceOptions = {}) {
    this.#timeMs = timeMs;
    this.#clock = now;
    this.#link = link ?? new LinkRate();
    this.#limit = limit ?? (() => undefined);
    this.#load = () => load() / availableParallelism();
  }

  /** What was measured of another parent, and the link to it, is forgotten. @param url of the parent */
  use(url: string | undefined): void {
    if (this.#parent !== undefined && this.#parent !== url) {
      this.#link = new LinkRate();
      this.#pushLink = new LinkRate();
      this.#making = undefined;
      this.#savedMs = 0;
    }
    this.#parent = url;
  }

  /** Measured rate of the link, in bytes/s; undefined before the first measurement. */
  get rate(): number | undefined {
    return this.#link.bytesPerS;
  }

  /** @param rate of the link as an earlier coordinator measured it: it counts until there is a newer one */
  inherit(rate: number | undefined): void {
    this.#link.inherit(rate);
  }

  /** @param roundTripMs of the link; undefined: it is unknown */
  now(roundTripMs = 0): Pace {
    return {
      link: this.#limited(this.#link.bytesPerS),
      roundTripMs,
      applying: this.#applying ?? APPLYING,
      making: this.#making ?? MAKING,
      load: this.#load(),
    };
  }

  /**
   * The same on the way up, where this layer makes deltas, and the parent applies them, as fast as this one does. While
   * nothing was sent, the link is taken for as fast as on the way down.
   */
  ofPushes(roundTripMs = 0): Pace {
    const link = this.#limited(this.#pushLink.bytesPerS ?? this.#link.bytesPerS);
    const making = (this.#makingHere ?? MAKING) / Math.max(1, this.#load());
    // That of the parent is not known.
    return { ...this.now(roundTripMs), link, making, load: 1 };
  }

  #limited(bytesPerS: number | undefined): number | undefined {
    const limit = this.#limit();
    return limit === undefined ? bytesPerS : Math.min(bytesPerS ?? limit, limit);
  }

  /** @param isThere whether the parent has all of this blob, which is being prefetched */
  prefetching(digest: Digest, isThere: boolean): void {
    if (isThere) this.#atParent.add(digest);
    else this.#atParent.delete(digest);
  }

  /** The parent has made it. @param waitedMs time that this layer waited for it */
  made({ toSize, cpuMs }: Pick<HeldDelta, 'toSize' | 'cpuMs'>, waitedMs = 0): void {
    const ms = Math.max(cpuMs, waitedMs);
    if (ms >= MIN_MEASURED_MS) this.#making = average(this.#making, (toSize * 1_000) / ms);
  }

  /** The parent has not made deltas to targets of these bytes in all, in `waitedMs`. */
  overdue(bytes: number, waitedMs: number): void {
    const rate = (bytes * 1_000) / Math.max(MIN_MEASURED_MS, waitedMs);
    this.#making = Math.min(this.#making ?? MAKING, rate);
  }

  /**
   * Time that deltas have saved, less that of waits in vain, in ms: while there is none, hardly any is risked, so that
   * deltas never cost time in all.
   */
  get savedMs(): number {
    return this.#savedMs;
  }

  /** @param ms that a delta has saved; negative: what a wait in vain has cost */
  saved(ms: number): void {
    this.#savedMs = Math.max(0, Math.min(MAX_SAVED_MS, this.#savedMs + ms));
  }

  /** A delta was made in this layer. @param made `ms`: elapsed time; 0: it was here */
  madeHere({ toSize, ms, cpuMs }: { toSize: number; ms: number; cpuMs: number }): void {
    if (Math.min(ms, cpuMs) < MIN_MEASURED_MS) return;
    this.#makingHere = average(this.#makingHere, (toSize * 1_000) / cpuMs);
  }

  /** A delta was applied in this layer. */
  applied({ toSize, cpuMs }: { toSize: number; cpuMs: number }): void {
    const ms = cpuMs - START_MS;
    if (ms >= MIN_MEASURED_MS) this.#applying = average(this.#applying, (toSize * 1_000) / ms);
  }

  /** A delta could not be applied in this layer. @param code of the fault; `unavailable`: its process crashed */
  notApplied({ toSize, code }: { toSize: number; code: string }): void {
    const timeMs = this.#timeMs();
    if (code === 'too-slow' && timeMs) {
      this.#applying = Math.min(this.#applying ?? APPLYING, (toSize * 1_000) / timeMs);
    }
    if (code !== 'too-large' && code !== 'unavailable') return;
    const bytes = Math.min(toSize, this.#maxTarget ?? toSize);
    this.#tooLarge = { bytes, until: this.#clock() + TOO_LARGE_MS };
  }

  /** Whether this layer can be expected to apply a delta to a target of this size. */
  mayApply(toSize: number): boolean {
    return toSize < (this.#maxTarget ?? Number.POSITIVE_INFINITY);
  }

  get #maxTarget(): number | undefined {
    const known = this.#tooLarge;
    return known && this.#clock() < known.until ? known.bytes : undefined;
  }

  /** @returns a function that stops it */
  listen(bus: EventListener): () => void {
    const linkOf = ({ direction }: { direction: Direction }) =>
      direction === 'up' ? this.#pushLink : this.#link;
    /** Whether the transfer is as fast as the link. */
    const counts = ({ pass }: { pass: string }) => pass !== PREFETCH || this.#atParent.size > 0;
    const interrupted = { complete: false };
    const unlisten = [
      bus.listen(transferStarted, ({ data }) => {
        if (counts(data)) linkOf(data).started(data, data.present, data.made);
      }),
      bus.listen(transferProgressed, ({ data }) => {
        const link = linkOf(data);
        if (!counts(data)) link.ended(data, interrupted);
        else if (data.pass === PREFETCH && !link.has(data)) link.started(data, data.done, data.made);
        else link.reached(data, data.done, data.made);
      }),
      bus.listen(transferFinished, ({ data }) => linkOf(data).ended(data, { complete: !data.mounted })),
      ...[transferDelayed, transferPaused, transferFailed].map((event) =>
        bus.listen(event as typeof transferPaused, ({ data }) => linkOf(data).ended(data, interrupted)),
      ),
      bus.listen(deltaMade, ({ data }) => this.madeHere(data)),
      bus.listen(deltaApplied, ({ data }) => this.applied(data)),
      bus.listen(deltaFailed, ({ data }) => {
        if (data.job === 'apply') this.notApplied(data);
      }),
    ];
    return () => {
      for (const stop of unlisten) stop();
    };
  }
}

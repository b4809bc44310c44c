import { SEED_BYTES, SeedIndex } from './seed-index.ts';

/** What a byte that differs costs, in equal ones: about two bytes of the delta. */
const PENALTY = 2;
/** A region ends where its score is this much below its best. */
const MAX_DROP = 48;
/** The same, where it has had no better score for as many bytes: bound of the work. */
const MAX_STALLED_BYTES = 1_024;
/** Bytes that may be compared for each of a content: what needs more has hardly anything in common. */
const MAX_COMPARED = 512;
/** Places between two polls. */
const POLLED_PLACES = 4_096;
/** Min score of a region that continues at the same distance, and of another one: they cost some bytes. */
const MIN_SCORE = 12;
const MIN_MOVED_SCORE = 24;
/** By how much the score at another distance has to be better. */
const MIN_GAIN = 12;
/** Distances of the last regions, which are tried first, and equal bytes that are enough there. */
const MAX_DRIFTS = 4;
const DRIFT_SEED_BYTES = 4;

/** Places of a region: in the content, in the window, and the end in the content. */
export type Aligned = { at: number; from: number; end: number };

/** Finds regions of a content that resemble regions of a window, byte by byte. */
export class WindowAligner {
  readonly #index = new SeedIndex();
  #window: Uint8Array = new Uint8Array();
  /** Result of `#score`. */
  #best = 0;
  #length = 0;
  /** Bytes that may still be compared. */
  #work = 0;
  readonly #poll: () => void;

  /** @param poll called at times; it may throw to end the work */
  constructor(poll: () => void) {
    this.#poll = poll;
  }

  setWindow(window: Uint8Array): void {
    this.#window = window;
    this.#index.fill(window);
  }

  /**
   * Regions in order, without overlaps.
   * @param drift expected: place in the window less place in the content
   */
  *align(content: Uint8Array, drift: number): Generator<Aligned> {
    if (this.#window.length < SEED_BYTES) return;
    this.#work = MAX_COMPARED * content.length;
    let [at, end, polled] = [0, 0, 0];
    let drifts = [drift];
    while (at + SEED_BYTES <= content.length && this.#work > 0) {
      if (at >= polled) {
        this.#poll();
        polled = at + POLLED_PLACES;
      }
      const found = this.#find(content, at, drifts);
      if (found === undefined) {
        at += 1;
        continue;
      }
      const current = found - at;
      drifts = [current, ...drifts.filter((other) => other !== current)].slice(0, MAX_DRIFTS);
      this.#score(content, at, found, 1);
      const stop = at + this.#length;
      this.#score(content, at - 1, found - 1, -1, end);
      const start = at - this.#length;
      yield { at: start, from: start + current, end: stop };
      at = stop;
      end = stop;
    }
  }

  /** The best place of the window that resembles what begins at `at`. */
  #find(content: Uint8Array, at: number, drifts: readonly number[]): number | undefined {
    let [place, best]: [number | undefined, number] = [undefined, 0];
    for (const drift of drifts) {
      if (!this.#isEqual(content, at, at + drift, DRIFT_SEED_BYTES)) continue;
      this.#score(content, at, at + drift, 1);
      if (this.#best >= MIN_SCORE && this.#best > best + (best > 0 ? MIN_GAIN : 0))
        [place, best] = [at + drift, this.#best];
    }
    const other = this.#index.find(content, at);
    if (other !== place && this.#isEqual(content, at, other, SEED_BYTES)) {
      this.#score(content, at, other, 1);
      if (this.#best >= MIN_MOVED_SCORE && this.#best > best + MIN_GAIN) place = other;
    }
    return place;
  }

  #isEqual(content: Uint8Array, at: number, from: number, count: number): boolean {
    const window = this.#window;
    if (from < 0 || from + count > window.length) return false;
    for (let index = 0; index < count; index += 1) {
      if (content[at + index] !== window[from + index]) return false;
    }
    return true;
  }

  /**
   * Sets the best score of a region from these places on, and its length.
   * @param step 1 forward, -1 backward
   * @param min of the places in the content
   */
  #score(content: Uint8Array, at: number, from: number, step: number, min = 0): void {
    const window = this.#window;
    const max = step > 0 ? Math.min(content.length - at, window.length - from) : Math.min(at - min, from) + 1;
    let [score, best, length, done] = [0, 0, 0, 0];
    for (let one = at, other = from; done < max; one += step, other += step) {
      done += 1;
      if (content[one] === window[other]) {
        score += 1;
        if (score > best) [best, length] = [score, done];
        continue;
      }
      score -= PENALTY;
      if (score < best - MAX_DROP || done - length > MAX_STALLED_BYTES) break;
    }
    this.#work -= done;
    this.#best = best;
    this.#length = length;
  }
}

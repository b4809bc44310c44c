/**
 * How fast transfers are: the rate of the last seconds (rate-meter.ts), that of what is sent (send-rate.ts), the use of
 * connections (gauge.ts), and how many of them are useful (this file).
 */

/** Measurements of one interval of use. */
export type Sample = {
  /** End of the interval, in ms. */
  now: number;
  /** Its length. */
  ms: number;
  bytes: number;
  /** Whether more connections would have had work, nearly all of the time. */
  saturated: boolean;
  /** Connections that broke or could not be made. */
  failures: number;
  /** Answers 429 and 503. */
  refusals: number;
};

/** Connections at the start. */
const INITIAL = 4;
/** The same on a link with a long round trip: there, each connection begins slowly, and so does their number. */
const INITIAL_LONG = 12;
/** Min round trip of such a link, in ms. */
const LONG_ROUND_TRIP_MS = 300;
/** Below this share of its usual throughput, the link counts as down. */
const DOWN_SHARE = 0.25;
/** After more such intervals, with some bytes in each, the lower throughput becomes the usual one. */
const MAX_DOWN_INTERVALS = 5;
/** Min factor on throughput for which more connections are retained. */
const MIN_GAIN = 1.04;
/** Min factor on throughput for which fewer connections are retained. */
const MIN_AFTER_REDUCTION = 0.97;
/** Intervals after which a change has shown its effect. */
const TRIES = 2;
/** Failures in one interval that halve the connections. */
const MIN_FAILURES = 3;
/**
 * Initial time that a count is held, and what a round trip adds to it: after a trial, connections need many of them to
 * reach their rates again. Doubles up to `MAX_HOLD_MS`.
 */
const HOLD_MS = 15_000;
const HOLD_ROUND_TRIPS = 75;
const MAX_HOLD_MS = 120_000;
/** Time without use after which the measurements of the link are dropped. */
const EXPIRY_MS = 60_000;

type Trial = { from: number; baseline: number; tries: number };

/**
 * Adaptive number of connections: as many as raise the throughput. Pure: fed with the sample of each interval.
 *
 *   growing   by half while that brings 4 % more; a step that brings less in two intervals is reverted, then
 *   holding   for 15 s and 75 round trips, doubling to 2 min; ends with a trial of more (growing again) or, alternately, of
 *   fewer     retained if it costs less than 3 %
 *
 * Refusals, and several failures, halve the count and hold it. Intervals in which the link is down are no evidence.
 */
export class Concurrency {
  #max: number;
  #initial = INITIAL;
  #count: number;
  #state: 'growing' | 'holding' | 'fewer' = 'growing';
  /** Nothing was measured yet: the first interval, in which the connections start, is no evidence for more. */
  #isStarting = true;
  /** The throughput to compare with, in bytes/ms; undefined while none is known. */
  #baseline: number | undefined;
  #trial: Trial | undefined;
  #initialHoldMs = HOLD_MS;
  #holdMs = HOLD_MS;
  #until = 0;
  #fewerNext = false;
  /** The next interval is no evidence: it still has requests from before a halving or an outage. */
  #settling = false;
  /** When bytes last moved, in ms. */
  #usedAt = 0;
  /** Intervals in a row in which the link was down, but moved some bytes. */
  #downIntervals = 0;

  constructor(max: number) {
    this.#max = max;
    this.#count = Math.min(INITIAL, max);
  }

  get count(): number {
    return this.#count;
  }

  /** Max connections. */
  set max(max: number) {
    if (max > this.#max) this.#until = 0;
    this.#max = max;
    if (this.#count > max) this.#begin(max);
    else if (this.#count < Math.min(this.#initial, max)) this.#begin(Math.min(this.#initial, max));
  }

  /** Round trip of the link, in ms. It decides where an unmeasured link starts. */
  set roundTripMs(ms: number) {
    const isUnmeasured = this.#state === 'growing' && !this.#trial && this.#count < this.#max;
    this.#initial = ms >= LONG_ROUND_TRIP_MS ? INITIAL_LONG : INITIAL;
    const initialHoldMs = HOLD_MS + HOLD_ROUND_TRIPS * ms;
    if (this.#holdMs === this.#initialHoldMs) this.#holdMs = initialHoldMs;
    this.#initialHoldMs = initialHoldMs;
    if (isUnmeasured && this.#count === INITIAL) this.#count = Math.min(this.#initial, this.#max);
  }

  feed(sample: Sample): void {
    const { now, ms, bytes, saturated, failures, refusals } = sample;
    if (bytes > 0) this.#usedAt = now;
    else if (this.#usedAt > 0 && now - this.#usedAt > EXPIRY_MS) {
      this.#usedAt = 0;
      this.#begin(Math.min(this.#initial, this.#max));
    }
    const settling = this.#settling;
    this.#settling = false;
    if (refusals > 0 || failures >= MIN_FAILURES) {
      if (!settling) this.#halve(now);
      return;
    }
    if (settling || !saturated) return;
    const rate = bytes / ms;
    if (this.#isDown(rate)) {
      this.#interrupt(rate);
      return;
    }
    this.#downIntervals = 0;
    if (this.#state === 'growing') this.#growing(rate, now);
    else if (this.#state === 'fewer') this.#fewer(rate, now);
    else this.#holding(rate, now);
  }

  #isDown(rate: number): boolean {
    const usual = this.#trial?.baseline ?? this.#baseline ?? 0;
    return rate === 0 || rate < usual * DOWN_SHARE;
  }

  /** Measurements from before an outage say nothing about the link after it. */
  #interrupt(rate: number): void {
    // When the link recovers, the first interval is only partly used.
    this.#settling = true;
    if (this.#state === 'fewer') {
      this.#count = Math.min(this.#trial?.from ?? this.#max, this.#max);
      this.#state = 'holding';
    }
    this.#trial = undefined;
    this.#downIntervals = rate > 0 ? this.#downIntervals + 1 : this.#downIntervals;
    if (this.#downIntervals > MAX_DOWN_INTERVALS || this.#state === 'growing') this.#baseline = undefined;
  }

  #growing(rate: number, now: number): void {
    const trial = this.#trial;
    const isStarting = this.#isStarting;
    this.#isStarting = false;
    // With a long round trip, all connections start slowly, and many are needed.
    if (isStarting && this.#initial !== INITIAL_LONG) return;
    if (trial && rate < trial.baseline * MIN_GAIN) {
      trial.tries += 1;
      if (trial.tries < TRIES) return;
      this.#count = Math.min(trial.from, this.#max);
      this.#hold(now, trial.baseline);
    } else {
      if (trial) this.#holdMs = this.#initialHoldMs;
      this.#grow(rate, now);
    }
  }

  #grow(rate: number, now: number): void {
    if (this.#count < this.#max) {
      this.#state = 'growing';
      this.#trial = { from: this.#count, baseline: rate, tries: 0 };
      this.#count = Math.min(this.#max, this.#count + Math.max(2, Math.floor(this.#count / 2)));
    } else this.#hold(now, rate);
  }

  #holding(rate: number, now: number): void {
    this.#baseline = this.#baseline === undefined ? rate : 0.7 * this.#baseline + 0.3 * rate;
    if (now < this.#until) return;
    const fewer = (this.#fewerNext || this.#count >= this.#max) && this.#count > 1;
    this.#fewerNext = !fewer;
    if (fewer) {
      this.#state = 'fewer';
      this.#trial = { from: this.#count, baseline: this.#baseline, tries: 0 };
      this.#count = Math.floor((this.#count * 3) / 4);
    } else this.#grow(this.#baseline, now);
  }

  #fewer(rate: number, now: number): void {
    const trial = this.#trial as Trial;
    trial.tries += 1;
    // The first interval still has requests of the connections that were removed.
    if (trial.tries < TRIES) return;
    if (rate < trial.baseline * MIN_AFTER_REDUCTION) this.#count = Math.min(trial.from, this.#max);
    this.#hold(now, Math.max(rate, trial.baseline));
  }

  #hold(now: number, baseline: number | undefined): void {
    this.#state = 'holding';
    this.#trial = undefined;
    this.#baseline = baseline;
    this.#until = now + this.#holdMs;
    this.#holdMs = Math.min(Math.max(MAX_HOLD_MS, this.#initialHoldMs), this.#holdMs * 2);
  }

  #halve(now: number): void {
    this.#count = Math.max(1, Math.floor(this.#count / 2));
    this.#settling = true;
    this.#hold(now, undefined);
  }

  #begin(count: number): void {
    this.#count = count;
    this.#state = 'growing';
    this.#isStarting = true;
    this.#trial = undefined;
    this.#baseline = undefined;
    this.#holdMs = this.#initialHoldMs;
  }
}

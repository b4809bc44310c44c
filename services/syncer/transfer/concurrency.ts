/** What one interval of use showed. */
export type Sample = {
  /** When it ended, in ms. */
  now: number;
  ms: number;
  bytes: number;
  /** Whether more connections would have had work, nearly all the time. */
  saturated: boolean;
  /** Connections that broke or were not made. */
  failures: number;
  /** Answers 429 and 503. */
  refusals: number;
};

const FIRST = 4;
/** Less than this share of what it was is a link that is down, for so many intervals at most. */
const DOWN = 0.25;
const DOWN_INTERVALS = 5;
/** What more connections must bring to be kept, and fewer may cost. */
const GAIN = 1.04;
const COST = 0.97;
/** Intervals after which a change has shown what it does. */
const TRIES = 2;
const SEVERAL_FAILURES = 3;
const HOLD_MS = 15_000;
const MAX_HOLD_MS = 120_000;
/** After so long without use nothing is known of the link any more. */
const FORGET_MS = 60_000;

type Trial = { from: number; baseline: number; tries: number };

/**
 * How many connections to use: as many as help. Pure: fed with what each interval showed.
 *
 *   growing   by half while it brings 4 % more; a step that twice brings less is taken back, and then
 *   holding   for 15 s, doubling to 2 min; ends with a trial of more (growing again) or, by turns, of
 *   fewer     which is kept when it costs less than 3 %
 *
 * Refusals, and several failures, halve it and hold. A link that is down for a while shows nothing.
 */
export class Concurrency {
  #most: number;
  #count: number;
  #state: 'growing' | 'holding' | 'fewer' = 'growing';
  /** The last throughput that counts, in bytes a ms. */
  #baseline: number | undefined;
  #trial: Trial | undefined;
  #holdMs = HOLD_MS;
  #until = 0;
  #fewerNext = false;
  /** The interval after a halving still shows what was asked for before it. */
  #settling = false;
  #used = 0;
  #down = 0;

  constructor(most: number) {
    this.#most = most;
    this.#count = Math.min(FIRST, most);
  }

  get count(): number {
    return this.#count;
  }

  set most(most: number) {
    if (most > this.#most) this.#until = 0;
    this.#most = most;
    if (this.#count > most) this.#begin(most);
    else if (this.#count < Math.min(FIRST, most)) this.#begin(Math.min(FIRST, most));
  }

  feed(sample: Sample): void {
    const { now, ms, bytes, saturated, failures, refusals } = sample;
    if (bytes > 0) this.#used = now;
    else if (this.#used > 0 && now - this.#used > FORGET_MS) {
      this.#used = 0;
      this.#begin(Math.min(FIRST, this.#most));
    }
    const settling = this.#settling;
    this.#settling = false;
    if (refusals > 0 || failures >= SEVERAL_FAILURES) {
      if (!settling) this.#halve(now);
      return;
    }
    if (settling || !saturated) return;
    const rate = bytes / ms;
    if (this.#isDown(rate)) {
      this.#interrupt(rate);
      return;
    }
    this.#down = 0;
    if (this.#state === 'growing') this.#growing(rate, now);
    else if (this.#state === 'fewer') this.#fewer(rate, now);
    else this.#holding(rate, now);
  }

  #isDown(rate: number): boolean {
    const usual = this.#trial?.baseline ?? this.#baseline ?? 0;
    return rate === 0 || rate < usual * DOWN;
  }

  /** What was measured before the link was down says nothing of it after that. */
  #interrupt(rate: number): void {
    // When it comes back, the first interval is a part of one.
    this.#settling = true;
    if (this.#state === 'fewer') {
      this.#count = Math.min(this.#trial?.from ?? this.#most, this.#most);
      this.#state = 'holding';
    }
    this.#trial = undefined;
    this.#down = rate > 0 ? this.#down + 1 : this.#down;
    if (this.#down > DOWN_INTERVALS || this.#state === 'growing') this.#baseline = undefined;
  }

  #growing(rate: number, now: number): void {
    const trial = this.#trial;
    if (trial && rate < trial.baseline * GAIN) {
      trial.tries += 1;
      if (trial.tries < TRIES) return;
      this.#count = Math.min(trial.from, this.#most);
      this.#hold(now, trial.baseline);
    } else {
      if (trial) this.#holdMs = HOLD_MS;
      this.#grow(rate, now);
    }
  }

  #grow(rate: number, now: number): void {
    if (this.#count < this.#most) {
      this.#state = 'growing';
      this.#trial = { from: this.#count, baseline: rate, tries: 0 };
      this.#count = Math.min(this.#most, this.#count + Math.max(2, Math.floor(this.#count / 2)));
    } else this.#hold(now, rate);
  }

  #holding(rate: number, now: number): void {
    this.#baseline = this.#baseline === undefined ? rate : 0.7 * this.#baseline + 0.3 * rate;
    if (now < this.#until) return;
    const fewer = (this.#fewerNext || this.#count >= this.#most) && this.#count > 1;
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
    // The first interval still has what the others had asked for.
    if (trial.tries < TRIES) return;
    if (rate < trial.baseline * COST) this.#count = Math.min(trial.from, this.#most);
    this.#hold(now, Math.max(rate, trial.baseline));
  }

  #hold(now: number, baseline: number | undefined): void {
    this.#state = 'holding';
    this.#trial = undefined;
    this.#baseline = baseline;
    this.#until = now + this.#holdMs;
    this.#holdMs = Math.min(MAX_HOLD_MS, this.#holdMs * 2);
  }

  #halve(now: number): void {
    this.#count = Math.max(1, Math.floor(this.#count / 2));
    this.#settling = true;
    this.#hold(now, undefined);
  }

  #begin(count: number): void {
    this.#count = count;
    this.#state = 'growing';
    this.#trial = undefined;
    this.#baseline = undefined;
    this.#holdMs = HOLD_MS;
  }
}

import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/contract/log.ts';
import type { ScheduleTimes } from '#proto/schedule/window.ts';
import { Alarm } from '../schedule/alarm.ts';
import { type Due, linkAt, nextPass, PASS_RETRY } from '../schedule/link-schedule.ts';

export type ClockDeps = {
  /** Schedule, window and pause in force; undefined if no parent is configured. */
  times: () => ScheduleTimes | undefined;
  /** Called when a pass is due. */
  tick: (cause: Due['cause']) => void;
  /** A long poll at the parent is active: its answers begin the passes, and the clock begins none meanwhile. */
  isFollowing?: () => boolean;
  /** Called at least once a minute, and whenever a window opens or closes. */
  onCheck: () => void;
  log: Log;
};

/** Calls `tick` when a pass is due, between `start` and `stop`. */
export class PassClock {
  readonly #deps: ClockDeps;
  #alarm: Alarm | undefined;
  #due: Due | undefined;
  /** Schedule, window and pause from which `#due` was computed. */
  #dueTimes = '';
  /** Consecutive failed passes. */
  #failures = 0;
  #retry: number | undefined;

  constructor(deps: ClockDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.stop();
    this.#due = undefined;
    this.#alarm = new Alarm((now) => this.#check(now));
  }

  stop(): void {
    this.#alarm?.[Symbol.dispose]();
    this.#alarm = undefined;
    this.#resetRetry();
  }

  /** To be called when schedule, window or pause may have changed. */
  changed(): void {
    this.#resetRetry();
    this.#alarm?.check();
  }

  /** A pass has ended. A failed one is retried (`PASS_RETRY`) if the next scheduled one is later than that. */
  passEnded(ok: boolean): void {
    if (!this.#alarm) return;
    // A tick that became due during the pass comes first.
    this.#alarm.check();
    if (ok) this.#resetRetry();
    else {
      this.#failures += 1;
      this.#retry = Date.now() + backoffMs(this.#failures, PASS_RETRY);
    }
    this.#alarm.check();
    if (this.#due?.cause !== 'retry') return;
    const { log } = this.#deps;
    log.warn(
      { failures: this.#failures, at: new Date(this.#due.at).toISOString() },
      'the pass failed; retrying before the next scheduled one',
    );
  }

  #resetRetry(): void {
    this.#failures = 0;
    this.#retry = undefined;
  }

  #check(now: number): number | undefined {
    const { times, tick, isFollowing, onCheck } = this.#deps;
    const current = times();
    const timesKey = JSON.stringify([current?.schedule, current?.windowMs, !!current?.paused]);
    if (timesKey !== this.#dueTimes) this.#due = undefined;
    this.#dueTimes = timesKey;
    onCheck();
    if (!current) return undefined;
    const link = linkAt(current, now);
    const due = this.#due;
    if (due && now >= due.at) {
      this.#retry = undefined;
      if (due.cause !== 'retry') this.#failures = 0;
    }
    // The clock may have been set back.
    if (this.#retry !== undefined) this.#retry = Math.min(this.#retry, now + PASS_RETRY.maxMs);
    this.#due = nextPass(current, now, this.#retry);
    // Last, because `tick` may re-enter this method. A window that passed while the machine slept has no pass.
    if (due && now >= due.at && link.usable && !isFollowing?.()) tick(due.cause);
    return Math.min(this.#due?.at ?? Number.POSITIVE_INFINITY, link.until ?? Number.POSITIVE_INFINITY);
  }
}

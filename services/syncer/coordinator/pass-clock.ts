import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/contract/log.ts';
import { Alarm } from '../schedule/alarm.ts';
import { type Due, linkAt, nextPass, PASS_RETRY } from '../schedule/hours.ts';
import type { Times } from '../schedule/window.ts';

export type ClockDeps = {
  /** Those in force; undefined where there is no parent. */
  times: () => Times | undefined;
  /** A pass is due. */
  tick: (cause: Due['cause']) => void;
  /** A request rests at the parent: its answers begin the passes, and none is due by the clock meanwhile. */
  isFollowing?: () => boolean;
  /** At least once a minute, and whenever a window opens or closes. */
  looked: () => void;
  log: Log;
};

/** Says when passes are due, from `start` to `stop`. */
export class PassClock {
  readonly #deps: ClockDeps;
  #alarm: Alarm | undefined;
  #due: Due | undefined;
  /** The times that `#due` came of. */
  #print = '';
  /** Passes in a row that failed. */
  #failures = 0;
  #retry: number | undefined;

  constructor(deps: ClockDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.stop();
    this.#due = undefined;
    this.#alarm = new Alarm((now) => this.#look(now));
  }

  stop(): void {
    this.#alarm?.[Symbol.dispose]();
    this.#alarm = undefined;
    this.#rest();
  }

  /** The times may be others now. */
  changed(): void {
    this.#rest();
    this.#alarm?.look();
  }

  /** A pass has ended. One that failed is tried again before its time, where that is more than a minute away. */
  passed(ok: boolean): void {
    if (!this.#alarm) return;
    // First what was due before it ended.
    this.#alarm.look();
    if (ok) this.#rest();
    else {
      this.#failures += 1;
      this.#retry = Date.now() + backoffMs(this.#failures, PASS_RETRY);
    }
    this.#alarm.look();
    if (this.#due?.cause !== 'retry') return;
    const { log } = this.#deps;
    log.warn(
      { failures: this.#failures, at: new Date(this.#due.at).toISOString() },
      'the pass is tried again before its time',
    );
  }

  #rest(): void {
    this.#failures = 0;
    this.#retry = undefined;
  }

  #look(now: number): number | undefined {
    const { times, tick, isFollowing, looked } = this.#deps;
    const found = times();
    const print = JSON.stringify([found?.schedule, found?.windowMs]);
    if (print !== this.#print) this.#due = undefined;
    this.#print = print;
    looked();
    if (!found) return undefined;
    const link = linkAt(found, now);
    const due = this.#due;
    if (due && now >= due.at) {
      this.#retry = undefined;
      if (due.cause !== 'retry') this.#failures = 0;
    }
    this.#due = nextPass(found, now, this.#retry);
    // Last, as it may look again. A window that was slept through is gone.
    if (due && now >= due.at && link.usable && !isFollowing?.()) tick(due.cause);
    return Math.min(this.#due?.at ?? Number.POSITIVE_INFINITY, link.until ?? Number.POSITIVE_INFINITY);
  }
}

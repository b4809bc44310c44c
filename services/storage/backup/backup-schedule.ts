import { Cron } from 'croner';
import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { runAs } from '../audit/caller-context.ts';
import type { Backups } from './backups.ts';

const SCHEDULER = { account: '_schedule' };
const POLL_MS = 10_000;
/** Max time after its instant at which a backup begins, in ms: many layers may share one target machine. */
const SPREAD_MS = 60_000;
/** Time after a start until one that was missed begins, in ms. */
const CATCH_UP_MS = 5 * 60_000;
/** After failures. */
const RETRY = { firstMs: 5 * 60_000, maxMs: 60 * 60_000 };
/** Time that a backup may take before it is late, in ms. */
const LATE_MS = 60 * 60_000;

type Settings = NonNullable<Configuration['backup']>;

export type BackupScheduleOptions = {
  backups: Pick<Backups, 'run' | 'status' | 'schedule'>;
  log: Log;
  /** Wall clock, in ms since 1970. */
  now: () => number;
  pollMs?: number;
  spreadMs?: number;
  catchUpMs?: number;
};

/** Makes backups by the schedule of the configuration (cron, UTC), and again after failures. */
export class BackupSchedule implements Disposable {
  readonly #options: Required<BackupScheduleOptions>;
  readonly #timer: NodeJS.Timeout;
  #settings: Settings | undefined;
  #due = 0;
  #running = false;

  constructor(options: BackupScheduleOptions) {
    this.#options = { pollMs: POLL_MS, spreadMs: SPREAD_MS, catchUpMs: CATCH_UP_MS, ...options };
    this.#timer = setInterval(() => void this.#poll(), this.#options.pollMs).unref();
  }

  /** An unchanged schedule goes on. */
  set(settings: Settings | undefined): void {
    const before = this.#settings;
    this.#settings = settings;
    const isSame = settings && before?.schedule === settings.schedule && before.target === settings.target;
    if (settings && !isSame) this.#due = this.#first(settings);
    this.#show();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** The next one; soon, if one was missed while the layer was off. */
  #first(settings: Settings): number {
    const { now, catchUpMs, backups } = this.#options;
    const last = backups.status?.last;
    const isMissed = last?.target === settings.target && nextAfter(settings, last.at) <= now();
    return isMissed ? now() + catchUpMs : this.#next(settings);
  }

  #next(settings: Settings): number {
    const { now, spreadMs } = this.#options;
    return nextAfter(settings, now()) + Math.random() * spreadMs;
  }

  async #poll(): Promise<void> {
    const settings = this.#settings;
    const { now, backups, log, spreadMs } = this.#options;
    if (!settings || this.#running) return;
    // The clock may have been set back.
    this.#due = Math.min(this.#due, nextAfter(settings, now()) + spreadMs);
    if (now() < this.#due) return;
    this.#running = true;
    try {
      const { target, keep, rate } = settings;
      await runAs(SCHEDULER, () => backups.run({ target, keep, rate, scheduled: true }));
      this.#due = this.#next(settings);
    } catch (err) {
      const failures = Math.max(1, backups.status?.failed?.count ?? 1);
      this.#due = Math.min(now() + backoffMs(failures, RETRY), this.#next(settings));
      if (Fault.is(err, 'busy')) log.info({ reason: err.message }, 'scheduled backup skipped; retrying');
    } finally {
      this.#running = false;
    }
    this.#show();
  }

  #show(): void {
    const { backups } = this.#options;
    const settings = this.#settings;
    if (!settings) {
      backups.schedule = undefined;
      return;
    }
    const last = backups.status?.last;
    const lateAfter = last && nextAfter(settings, nextAfter(settings, last.at)) + LATE_MS;
    backups.schedule = {
      target: settings.target,
      next: Math.round(this.#due),
      ...(lateAfter !== undefined && { lateAfter }),
    };
  }
}

/** The first instant of the schedule after this one, in ms since 1970. */
function nextAfter({ schedule }: Settings, instant: number): number {
  const next = new Cron(schedule, { timezone: 'UTC', paused: true }).nextRun(new Date(instant));
  return next?.getTime() ?? Number.MAX_SAFE_INTEGER;
}

import { Cron } from 'croner';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { runAs } from '../audit/caller-context.ts';
import type { Maintenance } from './sweep.ts';

const SCHEDULER = { account: '_schedule' };

/** Runs on a schedule, and receives the settings of the configuration. */
export type Maintained = {
  configure(maintenance: Maintenance): void;
  garbage: { collect(dryRun: boolean): Promise<unknown> };
  scrubber: { scrub(): Promise<unknown> };
};

/** Runs garbage collection and scrub on the schedules of the current configuration (cron, UTC). */
export class Schedules implements Disposable {
  readonly #storage: Maintained;
  readonly #log: Log;
  readonly #running = new Map<string, { schedule: string; cron: Cron }>();

  constructor(storage: Maintained, log: Log) {
    this.#storage = storage;
    this.#log = log;
  }

  /** An unchanged schedule is not restarted. */
  set({
    garbageCollection: garbage,
    scrub,
    reserve,
    parent,
    mode,
    repositories,
    delta,
  }: Configuration): void {
    const selected = parent && repositories.map(({ name }) => name);
    const { graceMs, uploadsMs, transfersMs } = garbage;
    this.#storage.configure({
      garbage: { graceMs, uploadsMs, transfersMs },
      scrubRate: scrub.rate,
      reserve,
      deltas: { isOff: delta.mode === 'off', maxBytes: delta.cache },
      selected,
      pushes: parent !== undefined && mode === 'ReadWrite',
      hasParent: parent !== undefined,
    });
    this.#at('garbage collection', garbage.enabled ? garbage.schedule : undefined, () =>
      this.#storage.garbage.collect(false),
    );
    this.#at('scrub', scrub.schedule, () => this.#storage.scrubber.scrub());
  }

  [Symbol.dispose](): void {
    for (const { cron } of this.#running.values()) cron.stop();
  }

  #at(what: string, schedule: string | undefined, work: () => Promise<unknown>): void {
    const running = this.#running.get(what);
    if (running?.schedule === schedule) return;
    running?.cron.stop();
    this.#running.delete(what);
    if (schedule === undefined) return;
    const run = async () => {
      await runAs(SCHEDULER, work).catch((err) => this.#failed(what, err));
    };
    const cron = new Cron(schedule, { timezone: 'UTC', unref: true }, run);
    this.#running.set(what, { schedule, cron });
  }

  #failed(what: string, err: unknown): void {
    if (Fault.is(err, 'busy', 'unavailable'))
      this.#log.info({ what, reason: err.message }, 'scheduled maintenance skipped');
    else this.#log.error({ err, what }, 'scheduled maintenance failed; retrying at its next scheduled time');
  }
}

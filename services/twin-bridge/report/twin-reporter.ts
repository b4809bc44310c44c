import { isDeepStrictEqual } from 'node:util';
import type { Log } from '#proto/bus/bus.ts';
import type {
  BusCaller,
  EventListener,
  NewsListener,
  StateLister,
  StateReader,
  StateWatcher,
} from '#proto/bus/roles.ts';
import { CONFIGURATION_KEY, type Configuration, configuration } from '#proto/document/configuration.ts';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';
import { passFinished, passStarted } from '#proto/sync/passes.ts';
import { detailsOf } from './details.ts';
import { fit } from './fit.ts';
import { type DesiredState, type LastPass, seeLayer } from './layer-view.ts';
import { type Reported, reportedOf } from './reported.ts';

/**
 * The properties that a layer reports to its module twin.
 *
 * layer-view.ts collects the state of the layer from the bus, details.ts derives its problems, reported.ts builds the
 * report, and fit.ts shrinks it to the limit of a twin.
 *
 * `TwinReporter` builds a report after each change, debounced, and at a poll interval in case a change was missed. It
 * sends a report that differs from the last one, at a limited rate. A report in which only volatile fields differ
 * (`steady`) waits longer.
 */

export type ReportOptions = {
  bus: StateReader & StateLister & BusCaller & StateWatcher & EventListener & NewsListener;
  log: Log;
  version: string;
  desired: () => DesiredState;
  /** Receives the complete report each time that it has changed. */
  report: (wanted: Reported) => void;
  pace?: Partial<ReportPace>;
};

type ReportPace = {
  /** Debounce: changes within this time go into one report. */
  debounceMs: number;
  /** Max reports without a pause; in the long run, one report per `minIntervalMs`. */
  burst: number;
  minIntervalMs: number;
  /** Min interval of reports in which only volatile fields have changed. */
  minVolatileIntervalMs: number;
  /** Poll interval without any notification of a change. */
  pollMs: number;
};
const PACE: ReportPace = {
  debounceMs: 1_000,
  burst: 4,
  minIntervalMs: 5_000,
  minVolatileIntervalMs: 5 * 60_000,
  pollMs: 60_000,
};

/** Reports the state of the layer to its twin: soon after a change, and nothing while nothing changes. */
export class TwinReporter implements Disposable {
  readonly #options: ReportOptions;
  readonly #pace: ReportPace;
  readonly #ends: (() => void)[];
  #pass: LastPass | undefined;
  #since = new Map<string, number>();
  #last: Reported | undefined;
  #configuration: Configuration | undefined;
  /** Times of the last `burst` reports, oldest first. */
  #times: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isBuilding = false;
  /** A change arrived while a report was built. */
  #isStale = false;
  #isEnded = false;

  constructor(options: ReportOptions) {
    const { bus, pace } = options;
    this.#options = options;
    this.#pace = { ...PACE, ...pace };
    const poll = setInterval(this.changed, this.#pace.pollMs).unref();
    this.#ends = [
      bus.watch(configuration, CONFIGURATION_KEY, this.changed),
      bus.watch(linkStatus, LINK_KEY, this.changed),
      bus.onNews(this.changed),
      bus.listen(passStarted, ({ data: { pass, cause } }) => {
        const { succeeded } = this.#pass ?? {};
        this.#pass = { pass, cause, started: Date.now(), ...(succeeded && { succeeded }) };
      }),
      bus.listen(passFinished, ({ data }) => {
        const ended = Date.now();
        const current = this.#pass?.pass === data.pass ? this.#pass : { ...this.#pass, pass: data.pass };
        this.#pass = { ...current, ended, result: data, ...(data.ok && { succeeded: ended }) };
      }),
      () => clearInterval(poll),
    ];
    this.changed();
  }

  /** To be called when the layer may differ from the last report. */
  readonly changed = (): void => {
    if (this.#isBuilding) this.#isStale = true;
    if (this.#isEnded || this.#timer || this.#isBuilding) return;
    const { debounceMs, burst, minIntervalMs } = this.#pace;
    const next = this.#times.length < burst ? 0 : (this.#times[0] as number) + burst * minIntervalMs;
    const wait = Math.max(debounceMs, next - performance.now());
    this.#timer = setTimeout(() => void this.#send(), wait);
    this.#timer.unref();
  };

  /** The current report. */
  async makeReport(): Promise<Reported> {
    const { bus, version, desired } = this.#options;
    // Read first: a report about a document is as of a time after its arrival.
    const document = desired();
    const seen = await seeLayer(bus, this.#configuration);
    this.#configuration = seen.configuration;
    const now = Date.now();
    const codes = new Set(detailsOf(seen, document).map(({ code }) => code));
    this.#since = new Map([...codes].map((code) => [code, this.#since.get(code) ?? now]));
    return fit(reportedOf({ seen, desired: document, pass: this.#pass, version, since: this.#since, now }));
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
    clearTimeout(this.#timer);
    for (const end of this.#ends) end();
  }

  async #send(): Promise<void> {
    this.#timer = undefined;
    this.#isBuilding = true;
    try {
      const report = await this.makeReport();
      if (!this.#isEnded && this.#needsReport(report)) {
        this.#last = report;
        this.#times = [...this.#times, performance.now()].slice(-this.#pace.burst);
        this.#options.report(report);
      }
    } catch (err) {
      this.#options.log.warn({ err }, 'failed to read the status to report');
    } finally {
      this.#isBuilding = false;
      const isStale = this.#isStale;
      this.#isStale = false;
      if (isStale) this.changed();
    }
  }

  #needsReport(report: Reported): boolean {
    if (!this.#last) return true;
    if (!isDeepStrictEqual(steady(report), steady(this.#last))) return true;
    return (
      performance.now() - (this.#times.at(-1) ?? 0) >= this.#pace.minVolatileIntervalMs &&
      !isDeepStrictEqual(report, this.#last)
    );
  }
}

/** The report without volatile fields, which change with each pass or by themselves. */
function steady({
  lastSyncTime: _last,
  registrySyncResult,
  storage,
  syncWindow,
  ...rest
}: Reported): Reported {
  const { syncState, failures } = (registrySyncResult ?? {}) as Record<string, unknown>;
  const { free: _free, ...usage } = (storage ?? {}) as Record<string, unknown>;
  const { open } = (syncWindow ?? {}) as Record<string, unknown>;
  return { ...rest, failures, syncState, usage, open };
}

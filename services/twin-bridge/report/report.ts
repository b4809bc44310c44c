import { isDeepStrictEqual } from 'node:util';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';
import { passFinished, passStarted } from '#proto/sync/passes.ts';
import { detailsOf } from './details.ts';
import { fit } from './fit.ts';
import { type Reported, reportedOf } from './reported.ts';
import { type DesiredState, type LastPass, seeLayer } from './seen.ts';

export type ReportOptions = {
  bus: Pick<Bus, 'get' | 'list' | 'call' | 'unreadable' | 'watch' | 'listen' | 'onNews'>;
  log: Log;
  version: string;
  desired: () => DesiredState;
  /** Is told the whole document each time that it is another one. */
  report: (wanted: Reported) => void;
  pace?: Partial<Pace>;
};

/** In ms. */
type Pace = {
  /** What changes together is told together. */
  settle: number;
  /** So many reports go at once; in the long run there is so much between them. */
  burst: number;
  least: number;
  /** Between reports of what changes all the time. */
  idle: number;
  /** Between looks where nothing is heard. */
  look: number;
};
const PACE: Pace = { settle: 1_000, burst: 4, least: 5_000, idle: 5 * 60_000, look: 60_000 };

/** Has the twin told how the layer stands: soon after something changed, and quiet while nothing does. */
export class TwinReporter implements Disposable {
  readonly #options: ReportOptions;
  readonly #pace: Pace;
  readonly #ends: (() => void)[];
  #pass: LastPass | undefined;
  #since = new Map<string, number>();
  #told: Reported | undefined;
  /** Of the last reports, as many as go at once; the last one comes last. */
  #times: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  /** Something changed while it looked. */
  #again = false;
  #ended = false;

  constructor(options: ReportOptions) {
    const { bus, pace } = options;
    this.#options = options;
    this.#pace = { ...PACE, ...pace };
    const look = setInterval(this.changed, this.#pace.look).unref();
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
        const own = this.#pass?.pass === data.pass ? this.#pass : { ...this.#pass, pass: data.pass };
        this.#pass = { ...own, ended, result: data, ...(data.ok && { succeeded: ended }) };
      }),
      () => clearInterval(look),
    ];
    this.changed();
  }

  /** Something may be otherwise than it was told. */
  readonly changed = (): void => {
    if (this.#looking) this.#again = true;
    if (this.#ended || this.#timer || this.#looking) return;
    const { settle, burst, least } = this.#pace;
    const next = this.#times.length < burst ? 0 : (this.#times[0] as number) + burst * least;
    const wait = Math.max(settle, next - Date.now());
    this.#timer = setTimeout(() => void this.#tell(), wait);
    this.#timer.unref();
  };

  /** How the layer stands now. */
  async now(): Promise<Reported> {
    const { bus, version, desired } = this.#options;
    const seen = await seeLayer(bus);
    const now = Date.now();
    const asked = desired();
    const codes = new Set(detailsOf(seen, asked).map(({ code }) => code));
    this.#since = new Map([...codes].map((code) => [code, this.#since.get(code) ?? now]));
    return fit(reportedOf({ seen, desired: asked, pass: this.#pass, version, since: this.#since, now }));
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    for (const end of this.#ends) end();
  }

  async #tell(): Promise<void> {
    this.#timer = undefined;
    this.#looking = true;
    try {
      const found = await this.now();
      if (!this.#ended && this.#isNews(found)) {
        this.#told = found;
        this.#times = [...this.#times, Date.now()].slice(-this.#pace.burst);
        this.#options.report(found);
      }
    } catch (err) {
      this.#options.log.warn({ err }, 'what the layer reports could not be looked up');
    } finally {
      this.#looking = false;
      const again = this.#again;
      this.#again = false;
      if (again) this.changed();
    }
  }

  #isNews(found: Reported): boolean {
    if (!this.#told) return true;
    if (!isDeepStrictEqual(steady(found), steady(this.#told))) return true;
    return Date.now() - (this.#times.at(-1) ?? 0) >= this.#pace.idle && !isDeepStrictEqual(found, this.#told);
  }
}

/** Without what changes with each pass, or by itself. */
function steady({
  lastSyncTime: _last,
  registrySyncResult,
  storage,
  syncWindow,
  ...rest
}: Reported): Reported {
  const { syncState, failures } = (registrySyncResult ?? {}) as Record<string, unknown>;
  const { free: _free, ...held } = (storage ?? {}) as Record<string, unknown>;
  const { open } = (syncWindow ?? {}) as Record<string, unknown>;
  return { ...rest, failures, syncState, held, open };
}

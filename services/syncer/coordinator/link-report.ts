import { isDeepStrictEqual } from 'node:util';
import type { EventPublisher, StateReader, StateWriter } from '#proto/bus/roles.ts';
import type { Log } from '#proto/contract/log.ts';
import type { ScheduleTimes } from '#proto/schedule/window.ts';
import { LINK_KEY, type LinkStatus, linkChanged, linkStatus, PAUSED } from '#proto/status/status.ts';
import type { LeftOutSummary } from '#proto/sync/left-out.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { linkAt } from '../schedule/link-schedule.ts';
import {
  ABANDONED,
  closedWindow,
  type LinkState,
  pausedState,
  scheduleFields,
  stateAfter,
} from './link-state.ts';

export type LinkReportDeps = {
  bus: StateReader & StateWriter & EventPublisher;
  log: Log;
  /** This process. */
  by: string;
  /** Schedule, window and pause in force; undefined if no parent is configured. */
  times: () => ScheduleTimes | undefined;
  /** What a pass that begins now compares: `comparisonScope`. */
  scope: () => string;
  /** Of the link, on the way down, in bytes/s; undefined: it is unknown. */
  rate?: () => number | undefined;
  /** Whether this process is the coordinator: only the coordinator writes the state. */
  isCoordinator: () => boolean;
};

type Report = Pick<LinkStatus, 'state' | 'detail' | 'code' | 'lastSync' | 'passes' | 'unmatched'> & {
  /** Everything was compared. */
  compared?: { at: number; scope: string };
  /** Null: nothing is left out any more. Absent: as before. */
  leftOut?: LeftOutSummary | null;
};

type EndedPass = {
  isUnscoped: boolean;
  announced: boolean;
  compared: NonNullable<Report['compared']>;
};

/** Stands for a state that is not known while the link is paused. */
const UNKNOWN: Report = { state: 'Offline' };

/** A running pass, until `ended` is called or it is disposed of. */
export type PassReport = Disposable & {
  /** The pass is announced. The link is `Syncing` until the last announced pass ends. */
  reportSyncing(): void;
  ended(result: PassResult, about: Omit<EndedPass, 'compared'>): Promise<void>;
};

/** Publishes the state of the link, as a state and as events, while this process is the coordinator. */
export class LinkReport {
  readonly #deps: LinkReportDeps;
  /** Last state outside a running pass. */
  #settled: LinkState | undefined;
  /** The last status as it was written. */
  #last: LinkStatus | undefined;
  /** The state apart from a pause of the link, if it is known. */
  #unpaused: Pick<Report, 'state' | 'detail' | 'code'> | undefined;
  /** Everything was compared since this process became the coordinator. */
  #follows = false;
  /** The last status could not be written: it is written again even if it is the same. */
  #unwritten = false;
  readonly #active = new Set<{ announced: boolean }>();
  /** State and code of the problem that was logged last; empty if none. */
  #loggedTrouble = '';
  /** Reports are written one at a time, in order. */
  #queue: Promise<void> = Promise.resolve();

  constructor(deps: LinkReportDeps) {
    this.#deps = deps;
  }

  /** This process becomes the coordinator: reads the last state, which another process may have written. */
  takeOver(): Promise<void> {
    return this.#report(async () => {
      const { bus } = this.#deps;
      this.#follows = false;
      this.#last = (await bus.get(linkStatus, LINK_KEY).catch(() => undefined))?.value ?? this.#last;
      const { state, detail, code } = this.#last ?? {};
      this.#loggedTrouble = troubleOf(state, code);
      const known = state && code !== PAUSED && { state, ...(detail && { detail }), ...(code && { code }) };
      this.#unpaused = known || undefined;
      this.#settled = this.#unpaused?.state === 'Syncing' ? undefined : (this.#unpaused as LinkState);
      return undefined;
    });
  }

  /** No pass begins now because the window is closed: a `Syncing` left by an earlier coordinator is corrected. */
  reportOutsideWindow(opens: number | undefined): Promise<void> {
    return this.#report(() => {
      if (this.#unpaused && this.#unpaused.state !== 'Syncing') return this.#unpaused;
      this.#settled = this.#unpaused ? ABANDONED : closedWindow(opens);
      return this.#settled;
    });
  }

  begin(): PassReport {
    const pass = { announced: false };
    const compared = { at: Date.now(), scope: this.#deps.scope() };
    this.#active.add(pass);
    return {
      reportSyncing: () => {
        pass.announced = true;
        void this.#report(() => ({ state: 'Syncing' }));
      },
      ended: (result, about) => {
        this.#active.delete(pass);
        return this.#ended(result, { ...about, compared });
      },
      [Symbol.dispose]: () => {
        this.#active.delete(pass);
      },
    };
  }

  /** Resolves when all reports so far are written. */
  flushed(): Promise<void> {
    return this.#queue;
  }

  /** A stalled pass makes progress again. */
  reportMoving(): Promise<void> {
    return this.#report(() => (this.#isSyncing ? { state: 'Syncing' } : this.#unpaused));
  }

  /** The parent does not answer the change feed's requests. Ignored during a pass, which reports this itself. */
  reportUnreachable(reason: string): Promise<void> {
    return this.#report(() => {
      if (this.#active.size > 0) return undefined;
      this.#settled = { state: 'Offline', detail: reason, code: 'parent-unreachable' };
      return this.#settled;
    });
  }

  /** A pass is running and makes no progress. */
  reportStalled(reason: string): Promise<void> {
    return this.#report(() => ({ state: 'Offline', detail: reason, code: 'parent-unreachable' }));
  }

  /** The last attempt did not reach the parent. */
  get isUnreachable(): boolean {
    return this.#settled?.state === 'Offline' && this.#settled.code === 'parent-unreachable';
  }

  /** Rate of the link at the end of the last pass, in bytes/s. */
  get rate(): number | undefined {
    return this.#last?.rate;
  }

  /** What is left out, as the last pass reported it. */
  get leftOut(): LeftOutSummary | undefined {
    return this.#last?.leftOut;
  }

  get #isSyncing(): boolean {
    return [...this.#active].some(({ announced }) => announced);
  }

  #ended(result: PassResult, { isUnscoped, announced, compared }: EndedPass): Promise<void> {
    return this.#report(() => {
      this.#settled = stateAfter(this.#settled, result, isUnscoped);
      const isComparison = isUnscoped && !result.ended && result.failed === 0;
      if (isComparison) this.#follows = true;
      const good = isComparison && !result.leftOut && this.#settled.state === 'Online';
      const current = this.#isSyncing ? { state: 'Syncing' as const } : this.#settled;
      const now = Date.now();
      const before = this.#last?.passes;
      const lastAnnounced = announced ? now : before?.announced;
      const passes = {
        count: (before?.count ?? 0) + 1,
        last: now,
        ...(lastAnnounced && { announced: lastAnnounced }),
      };
      const { matched = [], unmatched = this.#last?.unmatched ?? [] } = result;
      const remaining = unmatched.filter((pattern) => !matched.includes(pattern));
      const leftOut = result.leftOut ?? null;
      return {
        ...current,
        passes,
        unmatched: remaining,
        leftOut,
        ...(good && { lastSync: now }),
        ...(isComparison && { compared }),
      };
    });
  }

  /** To be called when the window may have opened or closed, the link was paused, or the schedule may have changed. */
  refresh(): Promise<void> {
    return this.#report(() => {
      const times = this.#deps.times();
      if (this.#unpaused || !times) return this.#unpaused;
      if (times.paused) return UNKNOWN;
      if (this.#last?.code !== PAUSED) return undefined;
      // The end of a pause requests a pass, which begins unless the window is closed.
      const { usable, until } = linkAt(times, Date.now());
      return usable ? { state: 'Syncing' } : closedWindow(until);
    });
  }

  #report(decide: () => Report | undefined | Promise<Report | undefined>): Promise<void> {
    this.#queue = this.#queue.then(async () => {
      const report = await decide();
      if (report) await this.#put(report);
    });
    return this.#queue;
  }

  async #put(report: Report): Promise<void> {
    const {
      lastSync,
      compared,
      passes,
      unmatched = this.#last?.unmatched ?? [],
      leftOut = this.#last?.leftOut,
    } = report;
    const { bus, log, by, times, isCoordinator, rate: measure } = this.#deps;
    // After a takeover, the new coordinator writes the state.
    if (!isCoordinator()) return;
    const before = this.#last;
    const now = Date.now();
    const good = lastSync ?? before?.lastSync;
    const counted = passes ?? before?.passes;
    const { comparedAt, comparedScope } = before ?? {};
    const comparison = compared
      ? { comparedAt: compared.at, comparedScope: compared.scope }
      : { ...(comparedAt && { comparedAt }), ...(comparedScope && { comparedScope }) };
    // It changes all the time, and is to be known after a restart.
    const rate = (passes && measure?.()) ?? before?.rate;
    const schedule = times();
    const { state: own, detail: ownDetail, code: ownCode } = report;
    if (report !== UNKNOWN) {
      this.#unpaused = {
        state: own,
        ...(ownDetail && { detail: ownDetail }),
        ...(ownCode && { code: ownCode }),
      };
    }
    const { state, detail, code } = schedule?.paused ? pausedState(schedule.paused) : report;
    const link: LinkStatus = {
      state,
      since: before?.state === state ? before.since : now,
      coordinator: by,
      ...(good && { lastSync: good }),
      ...comparison,
      ...(this.#follows && { follows: true }),
      ...(detail && { detail }),
      ...(code && { code }),
      ...(counted && { passes: counted }),
      ...(unmatched.length > 0 && { unmatched }),
      ...(leftOut && { leftOut }),
      ...(rate !== undefined && { rate: Math.round(rate) }),
      ...(schedule && scheduleFields(schedule, now)),
    };
    if (isDeepStrictEqual(link, before) && !this.#unwritten) return;
    this.#last = link;
    try {
      await bus.put(linkStatus, LINK_KEY, link);
      this.#unwritten = false;
    } catch (err) {
      this.#unwritten = true;
      log.debug({ err }, 'failed to write the link state');
    }
    if (before?.state === state) return;
    this.#log(state, detail, code);
    bus.publish(linkChanged, {
      ...(before && { from: before.state }),
      state,
      ...(detail && { detail }),
      ...(code && { code }),
    });
  }

  /** Logs when a problem begins, when it changes, and when it is over. */
  #log(state: LinkStatus['state'], detail: string | undefined, code: string | undefined): void {
    if (state === 'Syncing' || code === PAUSED) return;
    const { log } = this.#deps;
    const trouble = troubleOf(state, code);
    if (trouble === this.#loggedTrouble) return;
    this.#loggedTrouble = trouble;
    if (trouble) log.warn({ state, detail, code }, 'the link to the parent has a problem');
    else log.info({ notice: true }, 'the link to the parent has recovered');
  }
}

const troubleOf = (state: LinkStatus['state'] | undefined, code: string | undefined): string =>
  state === 'Offline' || state === 'Unhealthy' ? `${state} ${code}` : '';

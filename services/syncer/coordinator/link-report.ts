import { isDeepStrictEqual } from 'node:util';
import type { Bus } from '#proto/bus/bus.ts';
import type { Log } from '#proto/contract/log.ts';
import { LINK_KEY, type LinkStatus, linkChanged, linkStatus } from '#proto/status/status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import type { Times } from '../schedule/window.ts';
import { ABANDONED, hoursOf, type LinkState, stateAfter } from './link-state.ts';

export type ReportDeps = {
  bus: Pick<Bus, 'get' | 'put' | 'publish'>;
  log: Log;
  /** This process. */
  by: string;
  /** Those in force; undefined where there is no parent. */
  times: () => Times | undefined;
  /** Whether it is this process that says how the link is. */
  leads: () => boolean;
};

type Said = Pick<LinkStatus, 'state' | 'detail' | 'code' | 'lastSync' | 'passes' | 'unmatched'>;

/** A pass that is under way, until it has ended or is disposed of. */
export type PassReport = Disposable & {
  /** It is announced: until the last such pass has ended, the link is `Syncing`. */
  syncing(): void;
  ended(result: PassResult, about: { whole: boolean; announced: boolean }): Promise<void>;
};

/** Says how the link is, for as long as this process makes the passes. */
export class LinkReport {
  readonly #deps: ReportDeps;
  /** What was last so outside of a pass. */
  #settled: LinkState | undefined;
  #last: LinkStatus | undefined;
  /** Those under way. */
  readonly #passes = new Set<{ announced: boolean }>();
  /** What the log last said of it. */
  #trouble = '';
  /** What is said is said in order. */
  #turn: Promise<void> = Promise.resolve();

  constructor(deps: ReportDeps) {
    this.#deps = deps;
  }

  /** This process makes the passes from now on: another one may have said more since this one last did. */
  takeOver(): Promise<void> {
    return this.#say(async () => {
      const { bus } = this.#deps;
      this.#last = (await bus.get(linkStatus, LINK_KEY).catch(() => undefined))?.value ?? this.#last;
      const { state, detail, code } = this.#last ?? {};
      this.#trouble = troubleOf(state, code);
      if (state === 'Syncing') this.#settled = undefined;
      else this.#settled = state && { state, ...(detail && { detail }), ...(code && { code }) };
      return undefined;
    });
  }

  /** No pass begins now, as the link may not be used: what an earlier one had begun is not under way any more. */
  resting(opens: number | undefined): Promise<void> {
    return this.#say(() => {
      if (this.#last && this.#last.state !== 'Syncing') return this.#last;
      const from = opens === undefined ? '' : ` before ${new Date(opens).toISOString()}`;
      const untried: LinkState = {
        state: 'Offline',
        detail: `the link may not be used${from}`,
        code: 'window-closed',
      };
      this.#settled = this.#last ? ABANDONED : untried;
      return this.#settled;
    });
  }

  begin(): PassReport {
    const own = { announced: false };
    this.#passes.add(own);
    return {
      syncing: () => {
        own.announced = true;
        void this.#say(() => ({ state: 'Syncing' }));
      },
      ended: (result, about) => {
        this.#passes.delete(own);
        return this.#ended(result, about);
      },
      [Symbol.dispose]: () => {
        this.#passes.delete(own);
      },
    };
  }

  /** Resolves when all that was said so far is written. */
  written(): Promise<void> {
    return this.#turn;
  }

  /** What had stalled goes on. */
  moving(): Promise<void> {
    return this.#say(() => (this.#isSyncing ? { state: 'Syncing' } : this.#last));
  }

  /** The parent does not answer whoever follows it. A pass that is under way says so itself, if it is so. */
  unreachable(reason: string): Promise<void> {
    return this.#say(() => {
      if (this.#passes.size > 0) return undefined;
      this.#settled = { state: 'Offline', detail: reason, code: 'parent-unreachable' };
      return this.#settled;
    });
  }

  /** The pass goes on, and nothing of it gets through. */
  stalled(reason: string): Promise<void> {
    return this.#say(() => ({ state: 'Offline', detail: reason, code: 'parent-unreachable' }));
  }

  /** Nothing has reached the parent since it was last tried. */
  get isAway(): boolean {
    return this.#settled?.code === 'parent-unreachable';
  }

  get #isSyncing(): boolean {
    return [...this.#passes].some(({ announced }) => announced);
  }

  #ended(result: PassResult, { whole, announced }: { whole: boolean; announced: boolean }): Promise<void> {
    return this.#say(() => {
      this.#settled = stateAfter(this.#settled, result, whole);
      const good = whole && !result.ended && result.failed === 0 && this.#settled.state === 'Online';
      const said = this.#isSyncing ? { state: 'Syncing' as const } : this.#settled;
      const now = Date.now();
      const before = this.#last?.passes;
      const news = announced ? now : before?.news;
      const passes = { count: (before?.count ?? 0) + 1, last: now, ...(news && { news }) };
      const { matched = [], unmatched = this.#last?.unmatched ?? [] } = result;
      const still = unmatched.filter((pattern) => !matched.includes(pattern));
      return { ...said, passes, unmatched: still, ...(good && { lastSync: now }) };
    });
  }

  /** The window may have opened or closed, or the schedule be another one. */
  refresh(): Promise<void> {
    return this.#say(() => this.#last);
  }

  #say(decide: () => Said | undefined | Promise<Said | undefined>): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      const said = await decide();
      if (said) await this.#put(said);
    });
    return this.#turn;
  }

  async #put({
    state,
    detail,
    code,
    lastSync,
    passes,
    unmatched = this.#last?.unmatched ?? [],
  }: Said): Promise<void> {
    const { bus, log, by, times, leads } = this.#deps;
    // Whoever took over says it now.
    if (!leads()) return;
    const before = this.#last;
    const now = Date.now();
    const good = lastSync ?? before?.lastSync;
    const counted = passes ?? before?.passes;
    const found = times();
    const link: LinkStatus = {
      state,
      since: before?.state === state ? before.since : now,
      coordinator: by,
      ...(good && { lastSync: good }),
      ...(detail && { detail }),
      ...(code && { code }),
      ...(counted && { passes: counted }),
      ...(unmatched.length > 0 && { unmatched }),
      ...(found && hoursOf(found, now)),
    };
    if (isDeepStrictEqual(link, before)) return;
    this.#last = link;
    await bus
      .put(linkStatus, LINK_KEY, link)
      .catch((err) => log.debug({ err }, 'the link state was not written'));
    if (before?.state === state) return;
    this.#log(state, detail, code);
    bus.publish(linkChanged, {
      ...(before && { from: before.state }),
      state,
      ...(detail && { detail }),
      ...(code && { code }),
    });
  }

  /** A trouble, when it begins and each time that it becomes another one, and when it is over. */
  #log(state: LinkStatus['state'], detail: string | undefined, code: string | undefined): void {
    if (state === 'Syncing') return;
    const { log } = this.#deps;
    const trouble = troubleOf(state, code);
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    if (trouble) log.warn({ state, detail, code }, 'the link to the parent is not well');
    else log.info({ notice: true }, 'the link to the parent is well again');
  }
}

const troubleOf = (state: LinkStatus['state'] | undefined, code: string | undefined): string =>
  state === 'Offline' || state === 'Unhealthy' ? `${state} ${code}` : '';

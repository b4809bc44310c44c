import { Fault } from '#proto/contract/fault.ts';
import { Alarm } from './alarm.ts';
import type { LinkUse } from './link-schedule.ts';

/**
 * Aborts its signal when the link may no longer be used, also if the clock is set meanwhile, or the link is paused.
 * `live`: for a long poll at the parent. `usable`: for single requests.
 */
export class LinkGate implements Disposable {
  readonly #closed = new AbortController();
  readonly #alarm: Alarm;
  readonly #signal: AbortSignal;

  /** @param link undefined if no parent is configured: the gate is closed */
  constructor(link: () => LinkUse | undefined, use: 'live' | 'usable') {
    this.#alarm = new Alarm(() => {
      const at = link();
      if (!at?.[use]) this.#closed.abort(new Fault('window-closed', 'the window is closed'));
      return at?.until;
    });
    const { interrupted } = link() ?? {};
    const { signal } = this.#closed;
    this.#signal = interrupted ? AbortSignal.any([signal, interrupted]) : signal;
  }

  /** Aborts with a Fault `window-closed` or `paused`. */
  get signal(): AbortSignal {
    return this.#signal;
  }

  get isClosed(): boolean {
    return this.#signal.aborted;
  }

  [Symbol.dispose](): void {
    this.#alarm[Symbol.dispose]();
  }
}

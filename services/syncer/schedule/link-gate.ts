import { Fault } from '#proto/contract/fault.ts';
import { Alarm } from './alarm.ts';
import type { Link } from './hours.ts';

/**
 * Open for as long as the link may be used, also where the clock is set meanwhile. `live`: a request may rest at the
 * parent. `usable`: something may be sent or asked for.
 */
export class LinkGate implements Disposable {
  readonly #closed = new AbortController();
  readonly #alarm: Alarm;

  /** @param link undefined where there is no parent */
  constructor(link: () => Link | undefined, use: 'live' | 'usable') {
    this.#alarm = new Alarm(() => {
      const at = link();
      if (!at?.[use]) this.#closed.abort(new Fault('window-closed', 'the link may not be used now'));
      return at?.until;
    });
  }

  /** Aborts when it closes, with a Fault `window-closed`. */
  get signal(): AbortSignal {
    return this.#closed.signal;
  }

  get isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  [Symbol.dispose](): void {
    this.#alarm[Symbol.dispose]();
  }
}

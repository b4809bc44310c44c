import { backoffMs } from '#proto/async/backoff.ts';
import type { BusCaller, EventListener, ReconnectListener } from '#proto/bus/roles.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { getLinkPause, type LinkPause, linkPaused, linkResumed, pauseText } from '#proto/sync/pause.ts';
import { Alarm } from './alarm.ts';

/** Backoff after a failed read. */
const RETRY = { firstMs: 250, maxMs: 4_000 };

/** The Fault `paused`, with the remedy. */
export const pausedFault = (pause: LinkPause): Fault =>
  new Fault('paused', `${pauseText(pause)}: to use it again, run terrace resume`);

/**
 * The pause of the link, as this process knows it from storage. It is read at the start, after each event about it,
 * after each connect to the bus and start of storage, at its end, and once a minute in case all of these were missed.
 */
export class PauseWatch implements Disposable {
  /** Resolves when the first answer of storage has arrived: nothing may use the link before. */
  readonly known: Promise<void>;
  readonly #bus: BusCaller;
  readonly #log: Log;
  readonly #cleanups: (() => void)[];
  readonly #alarm: Alarm;
  readonly #isKnown = Promise.withResolvers<void>();
  #current: LinkPause | undefined;
  #end = new AbortController();
  #onChange = (_before: LinkPause | undefined) => {};
  #reading = false;
  /** Something happened during a read: it is repeated. */
  #stale = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(bus: BusCaller & EventListener & ReconnectListener, log: Log) {
    this.#bus = bus;
    this.#log = log;
    this.known = this.#isKnown.promise;
    const read = () => void this.#read();
    this.#cleanups = [
      bus.listen(linkPaused, read),
      bus.listen(linkResumed, read),
      bus.listen(storageStarted, read),
      bus.onReconnect(read),
    ];
    this.#alarm = new Alarm((now) => {
      read();
      const { until } = this.#current ?? {};
      return until !== undefined && until > now ? until : undefined;
    });
  }

  /** The pause in force. */
  get current(): LinkPause | undefined {
    return this.#current;
  }

  /** Aborts with a Fault `paused` when the link is paused. After the pause, there is another one. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** Sets the callback for changes. Called with the pause before. */
  onChange(changed: (before: LinkPause | undefined) => void): void {
    this.#onChange = changed;
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#alarm[Symbol.dispose]();
    for (const cleanup of this.#cleanups) cleanup();
  }

  async #read(): Promise<void> {
    if (this.#reading) {
      this.#stale = true;
      return;
    }
    this.#reading = true;
    clearTimeout(this.#retry);
    try {
      do {
        this.#stale = false;
        const { paused } = await this.#bus.call(getLinkPause, {});
        if (this.#ended) return;
        this.#set(paused);
        this.#failures = 0;
      } while (this.#stale);
    } catch (err) {
      if (this.#ended) return;
      this.#failures += 1;
      const ms = backoffMs(this.#failures, RETRY);
      this.#log.debug({ err, ms }, 'the pause of the link could not be read; retrying');
      this.#retry = setTimeout(() => void this.#read(), ms).unref();
    } finally {
      this.#reading = false;
    }
  }

  #set(paused: LinkPause | undefined): void {
    const before = this.#current;
    this.#current = paused;
    if (paused && !this.#end.signal.aborted) this.#end.abort(pausedFault(paused));
    if (!paused && this.#end.signal.aborted) this.#end = new AbortController();
    this.#isKnown.resolve();
    if (JSON.stringify(paused) === JSON.stringify(before)) return;
    const { by, until, reason } = paused ?? {};
    if (paused) this.#log.info({ notice: true, by, until, reason }, 'the link to the parent is paused');
    else this.#log.info({ notice: true }, 'the link to the parent is used again after a pause');
    // The end of the pause may be another one.
    this.#alarm.check();
    this.#onChange(before);
  }
}

import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Log } from '#proto/contract/log.ts';
import { type LinkPause, linkPaused, linkResumed } from '#proto/sync/pause.ts';
import type { Audit } from '../audit/audit.ts';
import { currentCaller } from '../audit/caller-context.ts';
import type { EventOutbox } from '../history/event-outbox.ts';
import { drop, type Metadata, put } from '../metadata/metadata.ts';

/** Max wait until the end of a pause is checked again, in ms: the clock may be set meanwhile. */
const CHECK_MS = 60_000;

type PauseDeps = {
  metadata: Metadata;
  outbox: EventOutbox;
  audit: Pick<Audit, 'record'>;
  locks: KeyedLock;
  log: Log;
  /** Wall clock, in ms since 1970. */
  now: () => number;
};

/** The pause of the link to the parent, until it is ended on request or its time is over. No faults of its own. */
export class PauseStore implements Disposable {
  readonly #deps: PauseDeps;
  #current: LinkPause | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  static async open(deps: PauseDeps): Promise<PauseStore> {
    return new PauseStore(deps, await deps.metadata.pause());
  }

  private constructor(deps: PauseDeps, current: LinkPause | undefined) {
    this.#deps = deps;
    this.#current = current;
  }

  /** Ends a stored pause when its time is over. To be called when the outbox is resumed: it publishes an event. */
  begin(): void {
    this.#check();
  }

  /** The pause in force. */
  get current(): LinkPause | undefined {
    return this.#current;
  }

  /** Pauses the link. A pause that is in force keeps its beginning. */
  set({ reason, forMs }: { reason?: string; forMs?: number }): Promise<LinkPause> {
    return this.#exclusive(async () => {
      const { metadata, outbox, now } = this.#deps;
      const at = now();
      const pause: LinkPause = {
        since: this.#current?.since ?? at,
        by: caller(),
        ...(reason !== undefined && { reason }),
        ...(forMs !== undefined && { until: at + forMs }),
      };
      const event = outbox.prepare(linkPaused, pause);
      await metadata.write([...put.pause(pause), ...event.changes]);
      this.#current = pause;
      event.publish();
      this.#check();
      return pause;
    });
  }

  /** Ends the pause on request. @returns the pause that was in force, if any */
  end(): Promise<LinkPause | undefined> {
    return this.#exclusive(() => this.#end(caller()));
  }

  /** Leaves the pause as it is stored. */
  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  async #end(by?: string): Promise<LinkPause | undefined> {
    const { metadata, outbox } = this.#deps;
    const pause = this.#current;
    if (!pause) return undefined;
    const event = outbox.prepare(linkResumed, { since: pause.since, ...(by !== undefined && { by }) });
    await metadata.write([...drop.pause(), ...event.changes]);
    this.#current = undefined;
    clearTimeout(this.#timer);
    event.publish();
    return pause;
  }

  /** Ends a pause whose time is over, else checks it again then. */
  #check(): void {
    clearTimeout(this.#timer);
    const { until } = this.#current ?? {};
    if (until === undefined || this.#ended) return;
    const ms = until - this.#deps.now();
    if (ms <= 0) void this.#expire();
    else this.#timer = setTimeout(() => this.#check(), Math.min(ms, CHECK_MS)).unref();
  }

  async #expire(): Promise<void> {
    const { audit, log, now } = this.#deps;
    try {
      const ended = await this.#exclusive(async () => {
        const { until = Number.POSITIVE_INFINITY } = this.#current ?? {};
        return until <= now() ? this.#end() : undefined;
      });
      if (ended) await audit.record({ action: 'link/resume', outcome: 'done', reason: 'its time is over' });
    } catch (err) {
      log.warn({ err }, 'the pause of the link could not be ended; retrying');
      if (!this.#ended) this.#timer = setTimeout(() => this.#check(), CHECK_MS).unref();
    }
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.#deps.locks.run('pause', work);
  }
}

/** A person before the account that speaks for it. */
function caller(): string {
  const { person, account, user } = currentCaller();
  return person ?? account ?? `_${user ?? 'storage'}`;
}

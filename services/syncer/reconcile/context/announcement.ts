import { isDeepStrictEqual } from 'node:util';
import type { EventPublisher } from '#proto/bus/roles.ts';
import { type PassResult, passFinished, passStarted } from '#proto/sync/passes.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import type { PassRequest } from './pass-request.ts';

/** Max time that a pass runs without being announced, in ms. */
const MAX_SILENT_MS = 2_000;
/** Causes whose passes are announced at once: a person acted, and may follow the events. */
const ANNOUNCED = new Set(['start', 'configuration', 'change']);

/**
 * Decides which passes are announced by events. A pass that was not requested, changed nothing, and had the outcome of
 * the last announced unscoped one is only counted in the state of the link; it is not part of the history.
 */
export class PassAnnouncements {
  readonly #bus: EventPublisher;
  readonly #by: string;
  #last: unknown = outcomeOf({ failed: 0, parked: 0, failures: [] });

  /** @param by instance of the coordinator */
  constructor(bus: EventPublisher, by: string) {
    this.#bus = bus;
    this.#by = by;
  }

  /** @param syncing called once, if the pass is announced while it runs */
  begin(passRequest: PassRequest, syncing: () => void): PassAnnouncement {
    return new PassAnnouncement(
      passRequest.asked === true || ANNOUNCED.has(passRequest.cause),
      (isRunning) => {
        if (isRunning) syncing();
        this.#bus.publish(passStarted, {
          pass: passRequest.id,
          coordinator: this.#by,
          cause: passRequest.cause,
        });
      },
      (result, announced) => {
        if (!announced && !this.#isNews(result)) return undefined;
        if (!passRequest.scope && !result.ended) this.#last = outcomeOf(result);
        return () => this.#bus.publish(passFinished, result);
      },
    );
  }

  #isNews(result: PassResult): boolean {
    const { taken, dropped, sent, withdrawn, ended } = result;
    if (taken + dropped + sent + withdrawn > 0) return true;
    return !ended && !isDeepStrictEqual(outcomeOf(result), this.#last);
  }
}

/** Without the reasons: prose may contain times and ports, which are no news. */
const outcomeOf = ({ failed, parked, failures }: Pick<PassResult, 'failed' | 'parked' | 'failures'>) => ({
  failed,
  parked,
  failures: failures.map(({ repository, tag, code }) => [repository, tag, code]),
});

/** Announcement of one pass. */
export class PassAnnouncement implements Disposable {
  readonly #start: (isRunning: boolean) => void;
  readonly #finish: (result: PassResult, announced: boolean) => (() => void) | undefined;
  readonly #timer: NodeJS.Timeout;
  #announced = false;

  /** @param finish returns a function that publishes the end; undefined if the pass is not announced */
  constructor(
    immediate: boolean,
    start: (isRunning: boolean) => void,
    finish: (result: PassResult, announced: boolean) => (() => void) | undefined,
  ) {
    this.#start = start;
    this.#finish = finish;
    this.#timer = setTimeout(this.now, MAX_SILENT_MS).unref();
    if (immediate) this.now();
  }

  get announced(): boolean {
    return this.#announced;
  }

  /** Announces the pass: it does something, or is about to. */
  readonly now = (): void => this.#announce(true);

  /** @returns a function that publishes the end; undefined if the pass is not announced */
  ended(result: PassResult): (() => void) | undefined {
    clearTimeout(this.#timer);
    const finish = this.#finish(result, this.#announced);
    if (finish) this.#announce(false);
    return finish;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #announce(isRunning: boolean): void {
    if (this.#announced) return;
    this.#announced = true;
    clearTimeout(this.#timer);
    this.#start(isRunning);
  }
}

/** A bus on which the pass is announced before its first event or job. */
export function announcing(bus: FencedBus, announcement: PassAnnouncement): FencedBus {
  return {
    ...bus,
    publish: (...event) => {
      announcement.now();
      bus.publish(...event);
    },
    submit: (...job) => {
      announcement.now();
      return bus.submit(...job);
    },
  };
}

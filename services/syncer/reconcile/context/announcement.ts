import { isDeepStrictEqual } from 'node:util';
import type { Bus } from '#proto/bus/bus.ts';
import { type PassResult, passFinished, passStarted } from '#proto/sync/passes.ts';
import type { PassRequest } from './pass-request.ts';

/** A pass that still goes on after so long is announced, in ms. */
const MAX_SILENT_MS = 2_000;
/** Passes for these causes are announced at once: somebody did something, and may follow what comes of it. */
const ANNOUNCED = new Set(['start', 'configuration', 'change']);

/**
 * Which passes are announced by events. One that began by itself, changed nothing and came out as the last whole one
 * that was announced is a figure in the state of the link, and no part of the history.
 */
export class PassAnnouncements {
  readonly #bus: Pick<Bus, 'publish'>;
  readonly #by: string;
  #last: unknown = outcomeOf({ failed: 0, parked: 0, failures: [] });

  /** @param by who makes the passes */
  constructor(bus: Pick<Bus, 'publish'>, by: string) {
    this.#bus = bus;
    this.#by = by;
  }

  /** @param syncing is called once, if the pass is announced while it goes on */
  begin(passRequest: PassRequest, syncing: () => void): PassAnnouncement {
    return new PassAnnouncement(
      passRequest.asked === true || ANNOUNCED.has(passRequest.cause),
      (goesOn) => {
        if (goesOn) syncing();
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

/** Reasons in prose may name times and ports: they alone are no news. */
const outcomeOf = ({ failed, parked, failures }: Pick<PassResult, 'failed' | 'parked' | 'failures'>) => ({
  failed,
  parked,
  failures: failures.map(({ repository, tag, code }) => [repository, tag, code]),
});

/** Of one pass. */
export class PassAnnouncement implements Disposable {
  readonly #start: (goesOn: boolean) => void;
  readonly #finish: (result: PassResult, announced: boolean) => (() => void) | undefined;
  readonly #timer: NodeJS.Timeout;
  #announced = false;

  /** @param finish returns what tells the end, where it is to be told */
  constructor(
    atOnce: boolean,
    start: (goesOn: boolean) => void,
    finish: (result: PassResult, announced: boolean) => (() => void) | undefined,
  ) {
    this.#start = start;
    this.#finish = finish;
    this.#timer = setTimeout(this.now, MAX_SILENT_MS).unref();
    if (atOnce) this.now();
  }

  get announced(): boolean {
    return this.#announced;
  }

  /** The pass does something, or is about to. */
  readonly now = (): void => this.#announce(true);

  /** @returns what tells the end, where that is to be told */
  ended(result: PassResult): (() => void) | undefined {
    clearTimeout(this.#timer);
    const finish = this.#finish(result, this.#announced);
    if (finish) this.#announce(false);
    return finish;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #announce(goesOn: boolean): void {
    if (this.#announced) return;
    this.#announced = true;
    clearTimeout(this.#timer);
    this.#start(goesOn);
  }
}

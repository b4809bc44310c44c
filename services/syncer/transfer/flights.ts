/** At the end of a blob a connection may be silent for so long, or so many times the time to the first byte. */
const SILENT_MS = 5_000;
const ANSWERS = 4;

export type Flight = Disposable & {
  /** Ends with the transfer, or when the rest is asked for on another connection. */
  signal: AbortSignal;
  readonly hurried: boolean;
  /** Bytes came. */
  heard(): void;
};

/**
 * The requests of one transfer that are under way. When nothing else is left to ask for, the transfer would wait for a
 * connection that lost packets as long as TCP does: the rest of what it was to bring comes sooner over another one.
 */
export class Flights {
  readonly #flights = new Set<{ heard: number; hurry: AbortController }>();
  readonly #now: () => number;
  /** Doubles each time, for a link that is down. */
  #patience = 1;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  begin(signal: AbortSignal): Flight {
    const flight = { heard: this.#now(), hurry: new AbortController() };
    this.#flights.add(flight);
    return {
      signal: AbortSignal.any([signal, flight.hurry.signal]),
      get hurried() {
        return flight.hurry.signal.aborted;
      },
      heard: () => {
        flight.heard = this.#now();
      },
      [Symbol.dispose]: () => this.#flights.delete(flight),
    };
  }

  /** Ends those that were silent for too long. */
  hurry(firstByteMs = 0): void {
    const silent = Math.max(SILENT_MS, ANSWERS * firstByteMs) * this.#patience;
    const late = [...this.#flights].filter(({ heard }) => this.#now() - heard >= silent);
    if (late.length > 0) this.#patience *= 2;
    for (const { hurry } of late) hurry.abort();
  }
}

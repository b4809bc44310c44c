import type { Bus } from '#proto/bus/bus.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';

/** Max age of a status that is shown, in ms. */
const MAX_AGE_MS = 1_000;

/** Max parked changes in it. */
const MAX_PARKED = 200;

/** The status of the layer, read at most once a second however many people watch. */
export class StatusCache {
  readonly #bus: Bus;
  readonly #inForce: () => Configuration | undefined;
  #last: { at: number; status: Promise<LayerStatus> } | undefined;

  /** @param inForce the configuration that this process has: without storage, its state can't be read */
  constructor(bus: Bus, inForce: () => Configuration | undefined) {
    this.#bus = bus;
    this.#inForce = inForce;
  }

  read(): Promise<LayerStatus> {
    const now = performance.now();
    if (this.#last && now - this.#last.at < MAX_AGE_MS) return this.#last.status;
    const last = { at: now, status: this.#load() };
    // A failure is not kept, and one status that takes long is shared by all who wait for it.
    last.status.then(
      () => {
        last.at = performance.now();
      },
      () => {
        if (this.#last === last) this.#last = undefined;
      },
    );
    last.at = Number.POSITIVE_INFINITY;
    this.#last = last;
    return last.status;
  }

  /** Loaded by the first request: the modules of the status need more than a gateway otherwise. */
  async #load(): Promise<LayerStatus> {
    const { layerStatus } = await import('#proto/overview/layer-status.ts');
    const status = await layerStatus(this.#bus, { maxParked: MAX_PARKED });
    const configuration = status.configuration ?? this.#inForce();
    return { ...status, ...(configuration && { configuration }) };
  }
}

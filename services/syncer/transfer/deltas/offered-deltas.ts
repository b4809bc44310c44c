import type { EventListener } from '#proto/bus/roles.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import type { Digest } from '#proto/oci/names.ts';
import { deltaOffered } from '#proto/sync/delta-jobs.ts';

/** The first delta that is offered for a blob. `signal` aborts then. */
export type Offer = Disposable & { readonly signal: AbortSignal; readonly delta: HeldDelta | undefined };

/**
 * Deltas that the coordinator offers for blobs which are crossing the link in full. Of one process; an event that is
 * lost only costs time.
 */
export class OfferedDeltas implements Disposable {
  readonly #waiting = new Map<Digest, Set<(delta: HeldDelta) => void>>();
  readonly #unlisten: () => void;

  constructor(bus: EventListener) {
    this.#unlisten = bus.listen(deltaOffered, ({ data }) => {
      const { to, toSize, from, format, kind, cpuMs, digest, size } = data;
      const delta = { to, toSize, from, format, kind, cpuMs, digest, size };
      for (const receive of this.#waiting.get(to) ?? []) receive(delta);
    });
  }

  /** Waits for a delta to the blob until the result is disposed of. @param isUsable whether it may be taken */
  to(blob: Digest, isUsable: (delta: HeldDelta) => boolean): Offer {
    const taken = new AbortController();
    const offer = {
      signal: taken.signal,
      delta: undefined as HeldDelta | undefined,
      [Symbol.dispose]: () => {
        receivers.delete(receive);
        if (receivers.size === 0) this.#waiting.delete(blob);
      },
    };
    const receive = (delta: HeldDelta) => {
      if (offer.delta || !isUsable(delta)) return;
      offer.delta = delta;
      taken.abort(new Error('a delta brings the rest sooner'));
    };
    const receivers = this.#waiting.get(blob) ?? new Set();
    receivers.add(receive);
    this.#waiting.set(blob, receivers);
    return offer;
  }

  [Symbol.dispose](): void {
    this.#unlisten();
  }
}

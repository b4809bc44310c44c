import type { EventListener } from '#proto/bus/roles.ts';
import type { Digest } from '#proto/oci/names.ts';
import { transferProgressed, transferStarted } from '#proto/sync/transfers.ts';
import type { Rest } from '../delta/worth.ts';
import type { Pull } from './arrivals.ts';

type Running = { isDelta: boolean; size: number; left: number };

/** Blobs that the prefetcher pulls now, and what of them has not arrived. */
export class RunningPulls implements Disposable {
  readonly #running = new Map<Digest, Running>();
  readonly #unlisten: (() => void)[];

  constructor(bus: EventListener) {
    const reached = (digest: Digest, done: number, isDelta: boolean) => {
      const running = this.#running.get(digest);
      if (!running) return;
      running.isDelta = isDelta;
      running.left = Math.max(0, running.size - done);
    };
    this.#unlisten = [
      bus.listen(transferStarted, ({ data }) => reached(data.digest, data.present, !!data.delta)),
      bus.listen(transferProgressed, ({ data }) => reached(data.digest, data.done, !!data.delta)),
    ];
  }

  get digests(): Digest[] {
    return [...this.#running.keys()];
  }

  has(digest: Digest): boolean {
    return this.#running.has(digest);
  }

  begin({ digest, size, delta }: Pull): void {
    this.#running.set(digest, { isDelta: delta !== undefined, size, left: size });
  }

  end(digest: Digest): void {
    this.#running.delete(digest);
  }

  /** What is left of a blob that is pulled in full; undefined of any other. */
  restOf(digest: Digest): Rest | undefined {
    const running = this.#running.get(digest);
    return running && !running.isDelta ? running : undefined;
  }

  [Symbol.dispose](): void {
    for (const stop of this.#unlisten) stop();
  }
}

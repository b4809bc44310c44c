import type { EventListener } from '#proto/bus/roles.ts';
import { imageFinished } from '#proto/sync/passes.ts';
import { transferDelayed, transferFinished, transferProgressed } from '#proto/sync/transfers.ts';

/** Time without progress after which a pass counts as stalled if the parent is unreachable, in ms. */
export const STALL_MS = 30_000;

/**
 * Watches a pass. Reports the reason after `STALL_MS` without progress while transfers wait for the parent, and
 * `undefined` when there is progress again. A parent that answers others, and is slow with one blob, is reachable.
 */
export class Stall implements Disposable {
  readonly #report: (reason: string | undefined) => void;
  readonly #cleanups: (() => void)[];
  #lastProgress = performance.now();
  #reason: string | undefined;
  #reported = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(bus: EventListener, report: (reason: string | undefined) => void) {
    this.#report = report;
    const onProgress = () => this.#progress();
    this.#cleanups = [
      bus.listen(transferProgressed, onProgress),
      bus.listen(transferFinished, onProgress),
      bus.listen(imageFinished, onProgress),
      bus.listen(transferDelayed, ({ data: { code, reason, slow } }) => {
        if (code === 'parent-unreachable' && !slow) this.#delay(reason);
      }),
    ];
  }

  [Symbol.dispose](): void {
    for (const cleanup of this.#cleanups) cleanup();
    clearTimeout(this.#timer);
  }

  #progress(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#lastProgress = performance.now();
    if (!this.#reported) return;
    this.#reported = false;
    this.#report(undefined);
  }

  #delay(reason: string): void {
    this.#reason = reason;
    if (this.#reported || this.#timer) return;
    const remainingMs = this.#lastProgress + STALL_MS - performance.now();
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#reported = true;
        this.#report(this.#reason);
      },
      Math.max(0, remainingMs),
    ).unref();
  }
}

import type { Bus } from '#proto/bus/bus.ts';
import { imageFinished } from '#proto/sync/passes.ts';
import { transferDelayed, transferFinished, transferProgressed } from '#proto/sync/transfers.ts';

/** A pass in which nothing moves for so long, as the parent can't be reached, goes on without a link, in ms. */
export const STALL_MS = 30_000;

/**
 * Watches a pass: tells the reason when nothing moved for `STALL_MS` while transfers wait for the parent, and
 * `undefined` when something moves again.
 */
export class Stall implements Disposable {
  readonly #tell: (reason: string | undefined) => void;
  readonly #ends: (() => void)[];
  #moved = Date.now();
  #reason: string | undefined;
  #told = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(bus: Pick<Bus, 'listen'>, tell: (reason: string | undefined) => void) {
    this.#tell = tell;
    const moves = () => this.#move();
    this.#ends = [
      bus.listen(transferProgressed, moves),
      bus.listen(transferFinished, moves),
      bus.listen(imageFinished, moves),
      bus.listen(transferDelayed, ({ data: { code, reason } }) => {
        if (code === 'parent-unreachable') this.#delay(reason);
      }),
    ];
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends) end();
    clearTimeout(this.#timer);
  }

  #move(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#moved = Date.now();
    if (!this.#told) return;
    this.#told = false;
    this.#tell(undefined);
  }

  #delay(reason: string): void {
    this.#reason = reason;
    if (this.#told || this.#timer) return;
    const rest = this.#moved + STALL_MS - Date.now();
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#told = true;
        this.#tell(this.#reason);
      },
      Math.max(0, rest),
    ).unref();
  }
}

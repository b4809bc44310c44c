import { byPartlyHere, type PullOrder } from '../context/order.ts';

type Loaded = PullOrder & { isPartlyHere: boolean };

/**
 * The loaded images of a batch that wait to be pulled, best first. An image is pulled while others still load, so that
 * the link carries blobs meanwhile, but not before an image of a higher priority that still loads.
 */
export class LoadedImages<T extends Loaded> {
  readonly #waiting: T[] = [];
  /** Number of images that still load, by priority. */
  readonly #loading = new Map<number, number>();
  #wake = Promise.withResolvers<void>();
  #isHeldBack = false;

  constructor(images: readonly PullOrder[]) {
    for (const { priority } of images) this.#count(priority, 1);
  }

  add(image: T): void {
    this.#waiting.push(image);
    this.ended(image);
  }

  /** An image is loaded, or is left to a later batch. */
  ended({ priority }: PullOrder): void {
    this.#count(priority, -1);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Yields no image before all are loaded. */
  holdBack(): void {
    this.#isHeldBack = true;
  }

  /** No further image will be loaded. */
  close(): void {
    this.#loading.clear();
    this.#wake.resolve();
  }

  /** Yields the images as they may be pulled; several callers share them. Ends when all images were yielded. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const image = this.#next();
      if (image) yield image;
      else if (this.#loading.size === 0) return;
      else await this.#wake.promise;
    }
  }

  #next(): T | undefined {
    if (this.#isHeldBack && this.#loading.size > 0) return undefined;
    const [first] = this.#waiting.sort(byPartlyHere);
    if (!first || [...this.#loading.keys()].some((priority) => priority > first.priority)) return undefined;
    return this.#waiting.shift();
  }

  #count(priority: number, change: number): void {
    const count = (this.#loading.get(priority) ?? 0) + change;
    if (count > 0) this.#loading.set(priority, count);
    else this.#loading.delete(priority);
  }
}

import { Fault } from '#proto/contract/fault.ts';

/** Max depth of a tree: an index may contain indexes, and a referrer may have referrers. */
export const MAX_TREE_DEPTH = 16;

/** Limits of one image with all its children and referrers. An image beyond them fails; others are not affected. */
export type TreeLimits = { manifests: number; bytes: number; blobs: number; ms: number };

export const TREE_LIMITS: TreeLimits = {
  /** When pulling, manifests that the layer has already count, too: each is visited. */
  manifests: 10_000,
  /** Size of the manifests to pull. They are held in memory until all that they refer to is here. */
  bytes: 32 * 1024 * 1024,
  blobs: 20_000,
  ms: 60 * 60_000,
};

export class TreeBudget {
  readonly #subject: string;
  readonly #limits: TreeLimits;
  readonly #start = performance.now();
  #manifests = 0;
  #bytes = 0;
  #blobs = 0;

  constructor(subject: string, limits: TreeLimits = TREE_LIMITS) {
    this.#subject = subject;
    this.#limits = limits;
  }

  /** To be called before a manifest is visited. @throws Fault `too-large` */
  visit(): void {
    this.#manifests += 1;
    if (this.#manifests > this.#limits.manifests)
      this.#exceeded(`more than ${this.#limits.manifests} manifests`);
    if (performance.now() - this.#start > this.#limits.ms) {
      this.#exceeded(`longer than ${this.#limits.ms / 60_000} min to list its manifests`);
    }
  }

  /** To be called after a manifest of `bytes` that refers to `blobs` was read. @throws Fault `too-large` */
  fetched(bytes: number, blobs: number): void {
    this.#bytes += bytes;
    this.#blobs += blobs;
    if (this.#bytes > this.#limits.bytes)
      this.#exceeded(`more than ${this.#limits.bytes} bytes of manifests`);
    if (this.#blobs > this.#limits.blobs) this.#exceeded(`more than ${this.#limits.blobs} blobs`);
  }

  #exceeded(needs: string): never {
    throw new Fault(
      'too-large',
      `${this.#subject} with its children and referrers exceeds the limits of a layer: ${needs}`,
    );
  }
}

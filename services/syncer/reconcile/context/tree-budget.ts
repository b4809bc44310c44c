import { Fault } from '#proto/contract/fault.ts';

/** What all that hangs on one image may take: an image that needs more fails by its name, and holds no other back. */
export type TreeLimits = { manifests: number; bytes: number; blobs: number; ms: number };

export const TREE_LIMITS: TreeLimits = {
  /** On the way down, those that are here already count too: each is looked at. */
  manifests: 10_000,
  /** Of the manifests that have to come. They are held until what they name is here. */
  bytes: 32 * 1024 * 1024,
  blobs: 20_000,
  ms: 60 * 60_000,
};

export class TreeBudget {
  readonly #what: string;
  readonly #limits: TreeLimits;
  readonly #began = performance.now();
  #manifests = 0;
  #bytes = 0;
  #blobs = 0;

  constructor(what: string, limits: TreeLimits = TREE_LIMITS) {
    this.#what = what;
    this.#limits = limits;
  }

  /** Before a manifest is looked at. @throws Fault `too-large` */
  visit(): void {
    this.#manifests += 1;
    if (this.#manifests > this.#limits.manifests)
      this.#exceeded(`more than ${this.#limits.manifests} manifests`);
    if (performance.now() - this.#began > this.#limits.ms) {
      this.#exceeded(`longer than ${this.#limits.ms / 60_000} min to list its manifests`);
    }
  }

  /** @throws Fault `too-large` */
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
      `${this.#what} with its children and referrers needs ${needs}, and a layer takes no more`,
    );
  }
}

import { Fault } from '#proto/contract/fault.ts';
import type { Repository, Tag } from '#proto/oci/names.ts';

/**
 * Tags of which the passes of a term send changes to the parent. Two passes run at a time: what one of them read of a
 * tag, at the parent or of its record, may be older than what the other one has sent since.
 */
export class Sends {
  readonly #active = new Set<string>();
  readonly #observers = new Set<PassSends>();

  /** Call at the begin of a pass, before it reads anything. */
  observe(): PassSends {
    const sends = new PassSends(this.#active, this.#observers);
    this.#observers.add(sends);
    return sends;
  }
}

/** What other passes sent while this one ran. */
export class PassSends implements Disposable {
  readonly #active: Set<string>;
  readonly #observers: Set<PassSends>;
  readonly #ofOthers: Set<string>;

  constructor(active: Set<string>, observers: Set<PassSends>) {
    this.#active = active;
    this.#observers = observers;
    this.#ofOthers = new Set(active);
  }

  /** The tag counts as being sent until the result is disposed. @throws Fault `conflict` if another pass sends it */
  begin(repository: Repository, tag: Tag): Disposable {
    const key = keyOf(repository, tag);
    if (this.#active.has(key)) throw overtaken(repository, tag);
    this.#active.add(key);
    for (const observer of this.#observers) if (observer !== this) observer.#ofOthers.add(key);
    return { [Symbol.dispose]: () => void this.#active.delete(key) };
  }

  /** Whether another pass sent a change of the tag since this one began, or does. */
  hasOther(repository: Repository, tag: Tag): boolean {
    return this.#ofOthers.has(keyOf(repository, tag));
  }

  /** @throws Fault `conflict` if it did */
  mustHaveNoOther(repository: Repository, tag: Tag): void {
    if (this.hasOther(repository, tag)) throw overtaken(repository, tag);
  }

  [Symbol.dispose](): void {
    this.#observers.delete(this);
  }
}

const keyOf = (repository: Repository, tag: Tag): string => `${repository}!${tag}`;

const overtaken = (repository: Repository, tag: Tag): Fault =>
  new Fault('conflict', `another pass sends ${repository}:${tag}: the next one decides again`, {
    detail: { overtaken: true },
  });

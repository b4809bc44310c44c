/**
 * A fair queue, by bytes: next is the waiter that was served the fewest bytes while all of them waited. A waiter is
 * named by a path, and turns are fair at each step of it: two directions get half each, regardless of the number of
 * syncers that wait in one of them. Waiters of one path are served first in, first out.
 */
export class Turns<T extends { readonly bytes: number }> {
  readonly #children = new Map<string, Turns<T>>();
  readonly #waiting: T[] = [];
  /** Bytes served, plus those that it forwent while it did not wait. */
  #served = 0;
  /** `#served` of the child that had the last turn, before that turn. */
  #last = 0;

  add([step, ...tail]: readonly string[], waiting: T): void {
    if (step === undefined) this.#waiting.push(waiting);
    else this.#child(step).add(tail, waiting);
  }

  remove([step, ...tail]: readonly string[], waiting: T): void {
    const index = this.#waiting.indexOf(waiting);
    if (step !== undefined) this.#children.get(step)?.remove(tail, waiting);
    else if (index >= 0) this.#waiting.splice(index, 1);
  }

  get idle(): boolean {
    return this.#waiting.length === 0 && this.#inTurn().length === 0;
  }

  /** Removes the waiter whose turn it is. */
  next(): T | undefined {
    const [first, ...others] = this.#inTurn();
    if (!first) return this.#waiting.shift();
    const child = others.reduce((min, other) => (other.#served < min.#served ? other : min), first);
    const waiting = child.next();
    this.#last = child.#served;
    child.#served += waiting?.bytes ?? 0;
    return waiting;
  }

  /** Removes all waiters. */
  clear(): T[] {
    const nested = [...this.#children.values()].flatMap((child) => child.clear());
    this.#children.clear();
    return [...this.#waiting.splice(0), ...nested];
  }

  #inTurn(): Turns<T>[] {
    return [...this.#children.values()].filter((child) => !child.idle);
  }

  #child(step: string): Turns<T> {
    const existing = this.#children.get(step);
    if (existing && !existing.idle) return existing;
    for (const [other, sibling] of this.#children) {
      if (other !== step && sibling.idle && sibling.#served <= this.#last) this.#children.delete(other);
    }
    const child = existing ?? new Turns<T>();
    // A child that returns gets no credit for turns that it missed.
    child.#served = Math.max(child.#served, this.#last);
    this.#children.set(step, child);
    return child;
  }
}

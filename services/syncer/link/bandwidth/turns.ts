/**
 * Who is next, by bytes: of those who wait, the one that was served the fewest while all of them waited. Whoever waits
 * is named by a path, and turns are fair at each step of it: two directions have half each, however many syncers wait
 * in one of them. At the same path, first come, first served.
 */
export class Turns<T extends { readonly bytes: number }> {
  readonly #below = new Map<string, Turns<T>>();
  readonly #waiting: T[] = [];
  /** Bytes that it was served, and those that it let pass while it did not wait. */
  #served = 0;
  /** What the one below that had the last turn was served before it. */
  #last = 0;

  add([step, ...rest]: readonly string[], waiting: T): void {
    if (step === undefined) this.#waiting.push(waiting);
    else this.#child(step).add(rest, waiting);
  }

  remove([step, ...rest]: readonly string[], waiting: T): void {
    const index = this.#waiting.indexOf(waiting);
    if (step !== undefined) this.#below.get(step)?.remove(rest, waiting);
    else if (index >= 0) this.#waiting.splice(index, 1);
  }

  get idle(): boolean {
    return this.#waiting.length === 0 && this.#inTurn().length === 0;
  }

  /** Takes out whose turn it is. */
  next(): T | undefined {
    const [first, ...others] = this.#inTurn();
    if (!first) return this.#waiting.shift();
    const one = others.reduce((least, other) => (other.#served < least.#served ? other : least), first);
    const waiting = one.next();
    this.#last = one.#served;
    one.#served += waiting?.bytes ?? 0;
    return waiting;
  }

  /** Takes out all that wait. */
  clear(): T[] {
    const below = [...this.#below.values()].flatMap((one) => one.clear());
    this.#below.clear();
    return [...this.#waiting.splice(0), ...below];
  }

  #inTurn(): Turns<T>[] {
    return [...this.#below.values()].filter((one) => !one.idle);
  }

  #child(step: string): Turns<T> {
    const known = this.#below.get(step);
    if (known && !known.idle) return known;
    for (const [other, one] of this.#below) {
      if (other !== step && one.idle && one.#served <= this.#last) this.#below.delete(other);
    }
    const child = known ?? new Turns<T>();
    // Whoever comes again had its turns, or let them pass.
    child.#served = Math.max(child.#served, this.#last);
    this.#below.set(step, child);
    return child;
  }
}

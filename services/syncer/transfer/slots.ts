/** So many at a time, first come, first served. */
export class Slots {
  #free: number;
  #count: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
    this.#count = count;
  }

  get count(): number {
    return this.#count;
  }

  /** Changes how many there are; takes effect as slots are given back. */
  grow(by: number): void {
    this.#free += by;
    this.#count += by;
    while (this.#free > 0 && this.#waiting.length > 0) this.#next();
  }

  async take(): Promise<Disposable> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#free += 1;
        if (this.#free > 0 && this.#waiting.length > 0) this.#next();
      },
    };
  }

  #next(): void {
    this.#free -= 1;
    this.#waiting.shift()?.();
  }
}

/** Runs `task` for every item, at most `limit` at a time. The first failure is thrown when all have ended. */
export async function each<T>(
  items: Iterable<T>,
  limit: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  const runner = async () => {
    for (let item = queue.shift(); item !== undefined && failures.length === 0; item = queue.shift()) {
      await task(item).catch((error) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, queue.length) }, runner));
  if (failures.length > 0) throw failures[0];
}

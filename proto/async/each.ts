/** Runs `task` for every item, at most `limit` at a time. The first failure is thrown when all have ended. */
export async function each<T>(
  items: Iterable<T>,
  limit: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  // One iterator for all: taking from the front of a long array would move all that is behind it.
  const next = queue.values();
  const runner = async () => {
    for (const item of next) {
      await task(item).catch((error) => failures.push(error));
      if (failures.length > 0) return;
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, queue.length) }, runner));
  if (failures.length > 0) throw failures[0];
}

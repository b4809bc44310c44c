/**
 * Runs `task` for every item, at most `limit` at a time. After a failure no further task begins; the first failure is
 * thrown when all running tasks have ended.
 */
export async function each<T>(
  items: Iterable<T>,
  limit: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  // All runners share one iterator: `shift` on a long array would move all its other items.
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

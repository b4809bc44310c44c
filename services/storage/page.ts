/** `after` is the last entry of the page before; it need not exist any more. */
export type Page = { after?: string; limit: number };

/** At most `limit` of what an iteration gives, and whether there is more. */
export async function page<T>(
  entries: AsyncGenerator<T>,
  limit: number,
): Promise<[found: T[], more: boolean]> {
  const found: T[] = [];
  for await (const entry of entries) {
    if (found.length === limit) return [found, true];
    found.push(entry);
  }
  return [found, false];
}

/** `after` is the last entry of the previous page; it need not exist any longer. */
export type ListQuery = { after?: string; limit: number };

/** Max characters per page: a reply must fit into one bus message (1 MiB) in any encoding of its strings. */
const MAX_PAGE_CHARACTERS = 256 * 1024;

/** Reads at most `limit` entries, fewer if they are large. @returns the entries, and whether more follow */
export async function page<T>(
  source: AsyncGenerator<T>,
  limit: number,
  sizeOf: (entry: T) => number = () => 0,
): Promise<[entries: T[], more: boolean]> {
  const entries: T[] = [];
  let room = MAX_PAGE_CHARACTERS;
  for await (const entry of source) {
    room -= sizeOf(entry);
    if (entries.length === limit || (room < 0 && entries.length > 0)) return [entries, true];
    entries.push(entry);
  }
  return [entries, false];
}

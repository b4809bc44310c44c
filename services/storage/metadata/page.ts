/** `after` is the last entry of the page before; it need not exist any more. */
export type Page = { after?: string; limit: number };

/** A reply must fit into one message of the bus (1 MiB), however its strings are encoded. */
const PAGE_CHARACTERS = 256 * 1024;

/** At most `limit` of what an iteration gives, fewer where they are large, and whether there is more. */
export async function page<T>(
  entries: AsyncGenerator<T>,
  limit: number,
  sizeOf: (entry: T) => number = () => 0,
): Promise<[found: T[], more: boolean]> {
  const found: T[] = [];
  let room = PAGE_CHARACTERS;
  for await (const entry of entries) {
    room -= sizeOf(entry);
    if (found.length === limit || (room < 0 && found.length > 0)) return [found, true];
    found.push(entry);
  }
  return [found, false];
}

import type { MetadataReader } from './metadata-reader.ts';

/**
 * Repositories in which a tag does not point to its base, each once, in bytewise order. Merges the two lists, whose
 * keys have the same order.
 */
export async function* repositoriesDifferingFromBase(
  metadata: MetadataReader,
  after?: string,
): AsyncGenerator<string> {
  // `"` is the successor of `!`, which follows the name of the repository in a key.
  const from = after === undefined ? undefined : `${after}"`;
  const tags = metadata.allTags(from);
  const bases = metadata.allBases(from);
  let last: string | undefined;
  try {
    let [tag, base] = [await tags.next(), await bases.next()];
    while (!tag.done || !base.done) {
      const [t, b] = [tag.done ? undefined : tag.value, base.done ? undefined : base.value];
      const key = t && (!b || before(t[0], b[0])) ? t[0] : (b as [string, string])[0];
      const same = t?.[0] === key && b?.[0] === key && t[1] === b[1];
      const repository = key.slice(0, key.indexOf('!'));
      if (!same && repository !== last) yield repository;
      if (!same) last = repository;
      if (t?.[0] === key) tag = await tags.next();
      if (b?.[0] === key) base = await bases.next();
    }
  } finally {
    await tags.return(undefined);
    await bases.return(undefined);
  }
}

const before = (one: string, other: string): boolean => one <= other;

/** Merges sorted sources into one sorted sequence, in which each text is once. */
export async function* inOrder(sources: AsyncGenerator<string>[]): AsyncGenerator<string> {
  try {
    const heads = await Promise.all(sources.map((source) => source.next()));
    for (;;) {
      let first: string | undefined;
      for (const { done, value } of heads) {
        if (!done && (first === undefined || bytewise(value, first) < 0)) first = value;
      }
      if (first === undefined) return;
      yield first;
      for (const [at, head] of heads.entries())
        if (!head.done && head.value === first)
          heads[at] = await (sources[at] as AsyncGenerator<string>).next();
    }
  } finally {
    await Promise.all(sources.map((source) => source.return(undefined)));
  }
}

/** The names of entries. */
export async function* namesOf(
  entries: AsyncIterable<[name: string, value: unknown]>,
): AsyncGenerator<string> {
  for await (const [name] of entries) yield name;
}

/** Names of repositories and tags are ASCII, whose order is bytewise. */
const bytewise = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

import { isCutSize, pageAfter, sizeIn } from './page-links.ts';
import { type ListLimits, PageReader, strings } from './pages.ts';
import type { ParentLink } from './parent-link.ts';

/** A list of names (tags or repositories) at the parent, and the scope to read it. */
export type NameList = { path: string; field: 'tags' | 'repositories'; scope: string };

/** Max pages in a row that repeat names and bring no new one. */
const MAX_IDLE_PAGES = 20;

/**
 * The names in a list of the parent, each once, over all pages. A page without a link to the next one that has a size
 * at which registries cut lists is followed by a request for what comes after its last name: old registries send no
 * links, and some proxies remove them.
 * @throws Fault `parent-invalid`, also if the parent links to further pages but sends the same ones again, or exceeds a
 * limit; see also `refusal`
 */
export async function* parentNames(
  link: ParentLink,
  { path: first, field, scope }: NameList,
  signal: AbortSignal,
  limits: Partial<ListLimits> = {},
): AsyncGenerator<string> {
  const reader = new PageReader(link, first, scope, signal, limits);
  const names = new Set<string>();
  const sizes = new Set<number>();
  /** Whether a page that may be cut links to one that was read before. */
  let isSuspect = false;
  let isLinked = true;
  let idle = 0;
  for (let path = reader.first; ; ) {
    const answer = isLinked ? await reader.read(path) : await reader.readUnlinked(path);
    const listed = isLinked ? strings(answer?.page, field) : namesIn(answer?.page, field);
    const { next } = answer ?? {};
    const before = names.size;
    for (const name of listed ?? []) {
      if (names.has(name)) continue;
      names.add(name);
      yield name;
    }
    const isFresh = names.size > before;
    idle = isFresh || !listed?.length ? 0 : idle + 1;
    if (idle > MAX_IDLE_PAGES) throw reader.invalid('the list does not end: its pages bring no new names');
    if (next !== undefined && !reader.isRead(next)) {
      isLinked = true;
      path = next;
    } else {
      if (listed?.length === 0) return;
      const last = listed?.at(-1);
      const isCut = isCutSize(listed?.length ?? 0, sizeIn(reader.first));
      if (next !== undefined && isCut) isSuspect = true;
      const after = last === undefined ? undefined : pageAfter(reader.first, last);
      if (!isFresh || after === undefined || reader.isRead(after)) {
        // The parent says that there is more. A list cut off here would pass for a complete one.
        if (isSuspect) throw reader.invalid('the list does not end: a page repeats');
        return;
      }
      if (!isCut && next === undefined && !sizes.has(listed?.length ?? 0)) return;
      isLinked = false;
      path = after;
    }
    sizes.add(listed?.length ?? 0);
  }
}

/** The names of a page that was not linked to; undefined if it is no such list. */
function namesIn(page: unknown, field: string): string[] | undefined {
  try {
    return strings(page, field);
  } catch {
    return undefined;
  }
}

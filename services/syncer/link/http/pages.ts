import { parseJson } from '#proto/contract/bounded-json.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { refusal } from '../answers/answers.ts';
import { PAGE_LIMIT, text } from '../answers/bodies.ts';
import { nextIn } from '../answers/link-header.ts';
import { patiently } from '../answers/patience.ts';
import type { Link } from './link.ts';

/** What one list of a parent may take: what is larger fails by the name of its path, and holds nothing else up. */
export type ListLimits = { pages: number; entries: number; ms: number };

const LIMITS: ListLimits = { pages: 10_000, entries: 250_000, ms: 30 * 60_000 };

/**
 * The pages of a list of the parent's, as JSON.
 * @throws Fault `parent-invalid` also where the list goes in circles, or beyond a limit
 */
export async function* pages(
  link: Link,
  first: string,
  scope: string,
  signal: AbortSignal,
  limits: Partial<ListLimits> = {},
): AsyncGenerator<unknown> {
  const most = { ...LIMITS, ...limits };
  const until = performance.now() + most.ms;
  const endless = (why: string) => new Fault('parent-invalid', `GET ${first}: ${why}`);
  const seen = new Set<string>();
  let entries = 0;
  let path: string | undefined = first;
  while (path) {
    if (seen.has(path)) throw endless('the list has no end: a page comes again');
    seen.add(path);
    if (seen.size > most.pages) throw endless(`the list has more than ${most.pages} pages`);
    if (performance.now() > until) throw endless(`the list did not end within ${most.ms / 60_000} min`);
    const found = await patiently(signal, () => ask(link, path as string, scope, signal));
    entries += entriesOf(found.page);
    if (entries > most.entries) throw endless(`the list has more than ${most.entries} entries`);
    yield found.page;
    path = nextPage(found.next, new URL(path, link.base).href);
  }
}

/** A page is an object with the list in one of its fields. */
function entriesOf(page: unknown): number {
  const lists = Object.values(page ?? {}).filter((value) => Array.isArray(value));
  return lists.reduce((sum, { length }) => sum + length, 0);
}

async function ask(
  link: Link,
  path: string,
  scope: string,
  signal: AbortSignal,
): Promise<{ page: unknown; next?: string }> {
  const headers = { accept: `${mediaTypes.ociIndex}, application/json` };
  const answer = await link.request(path, { scope, signal, headers });
  if (answer.statusCode !== 200) {
    throw refusal(answer.statusCode, answer.headers, await text(answer), `GET ${path}`);
  }
  const bytes = await link.read(answer, PAGE_LIMIT, path);
  const next = [answer.headers.link ?? []].flat().join(', ');
  try {
    return { page: parseJson(bytes), ...(next && { next }) };
  } catch (cause) {
    if (Fault.is(cause)) throw new Fault('parent-invalid', `GET ${path}: ${cause.message}`, { cause });
    throw new Fault('parent-invalid', `GET ${path}: the parent sent no JSON`, { cause });
  }
}

/** A list that is not there must not pass for an empty one: what it leaves out would go here. */
export function strings(page: unknown, field: string): string[] {
  const list = (page as Record<string, unknown> | null)?.[field];
  // Go programs write an empty list as null.
  if (list === null) return [];
  if (!Array.isArray(list)) throw new Fault('parent-invalid', `the parent sent a list without /${field}`);
  return list.filter((item) => typeof item === 'string');
}

/**
 * RFC 8288: `</v2/_catalog?last=b&n=2>; rel="next"`. Asked of the parent whatever host it names: behind a proxy, a
 * registry may know itself by another name, and a list that ended here would pass for a whole one.
 */
function nextPage(link: string | undefined, current: string): string | undefined {
  const target = link === undefined ? undefined : nextIn(link);
  if (target === undefined) return undefined;
  if (!URL.canParse(target, current)) {
    throw new Fault('parent-invalid', 'the parent names no address for the next page of a list');
  }
  const { pathname, search } = new URL(target, current);
  return `${pathname}${search}`;
}

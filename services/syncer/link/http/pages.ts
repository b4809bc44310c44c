import { parseJson } from '#proto/contract/bounded-json.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { refusal } from '../answers/answers.ts';
import { MAX_PAGE_BYTES, readErrorBody } from '../answers/bodies.ts';
import { nextIn } from '../answers/link-header.ts';
import { namedPath, urlAt } from '../answers/parent-path.ts';
import { withRetries } from '../answers/retry.ts';
import type { ParentLink } from './parent-link.ts';

/** Bounds of one list of a parent. A list beyond them fails, with its path in the message, and delays nothing else. */
export type ListLimits = { parentPages: number; entries: number; ms: number };

const LIMITS: ListLimits = { parentPages: 10_000, entries: 250_000, ms: 30 * 60_000 };

/**
 * The pages of one of the parent's lists, as JSON.
 * @throws Fault `parent-invalid`, also if the list loops or exceeds a limit; see also `refusal`
 */
export async function* parentPages(
  link: ParentLink,
  first: string,
  scope: string,
  signal: AbortSignal,
  limits: Partial<ListLimits> = {},
): AsyncGenerator<unknown> {
  const bounds = { ...LIMITS, ...limits };
  const until = performance.now() + bounds.ms;
  const invalid = (why: string) => new Fault('parent-invalid', `GET ${first}: ${why}`);
  const seen = new Set<string>();
  let entries = 0;
  let path: string | undefined = first;
  while (path) {
    if (seen.has(path)) throw invalid('the list does not end: a page repeats');
    seen.add(path);
    if (seen.size > bounds.parentPages) throw invalid(`the list has more than ${bounds.parentPages} pages`);
    if (performance.now() > until) throw invalid(`the list did not end within ${bounds.ms / 60_000} min`);
    const { page, next } = await withRetries(signal, () => ask(link, path as string, scope, signal));
    entries += entriesOf(page);
    if (entries > bounds.entries) throw invalid(`the list has more than ${bounds.entries} entries`);
    yield page;
    path = nextPage(next, link.base, urlAt(link.base, path));
  }
}

/** A page is an object with the list in one of its fields. */
function entriesOf(page: unknown): number {
  const lists = Object.values(page ?? {}).filter((value) => Array.isArray(value));
  return lists.reduce((sum, { length }) => sum + length, 0);
}

async function ask(
  link: ParentLink,
  path: string,
  scope: string,
  signal: AbortSignal,
): Promise<{ page: unknown; next?: string }> {
  const headers = { accept: `${mediaTypes.ociIndex}, application/json` };
  const answer = await link.request(path, { scope, signal, headers });
  if (answer.statusCode !== 200) {
    throw refusal(answer.statusCode, answer.headers, await readErrorBody(answer), `GET ${path}`);
  }
  const bytes = await link.read(answer, MAX_PAGE_BYTES, path);
  const next = [answer.headers.link ?? []].flat().join(', ');
  try {
    return { page: parseJson(bytes), ...(next && { next }) };
  } catch (cause) {
    if (Fault.is(cause)) throw new Fault('parent-invalid', `GET ${path}: ${cause.message}`, { cause });
    throw new Fault('parent-invalid', `GET ${path}: the answer is not JSON`, { cause });
  }
}

/**
 * The strings in a list field of a page.
 * @throws Fault `parent-invalid` if the field is missing: as an empty list, it would delete content of this layer
 */
export function strings(page: unknown, field: string): string[] {
  const list = (page as Record<string, unknown> | null)?.[field];
  // Go programs encode an empty list as null.
  if (list === null) return [];
  if (!Array.isArray(list)) throw new Fault('parent-invalid', `the parent sent a list without /${field}`);
  return list.filter((item) => typeof item === 'string');
}

/**
 * RFC 8288: `</v2/_catalog?last=b&n=2>; rel="next"`. The host in it is ignored, the page is requested of the parent:
 * behind a proxy, a registry may know itself by another name, and a list cut off here would pass for a complete one.
 */
function nextPage(link: string | undefined, base: URL, current: URL): string | undefined {
  const target = link === undefined ? undefined : nextIn(link);
  if (target === undefined) return undefined;
  if (!URL.canParse(target, current.href)) {
    throw new Fault('parent-invalid', 'the parent sent an invalid address for the next page of a list');
  }
  return namedPath(base, new URL(target, current), current);
}

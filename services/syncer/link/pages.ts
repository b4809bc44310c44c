import { Fault } from '#proto/fault.ts';
import { mediaTypes } from '#proto/oci.ts';
import { refusal } from './answers.ts';
import { PAGE_LIMIT, text } from './bodies.ts';
import type { Link } from './link.ts';
import { nextIn } from './link-header.ts';
import { patiently } from './patience.ts';

/** The pages of a list of the parent's, as JSON. @throws Fault `parent-invalid`, … */
export async function* pages(
  link: Link,
  first: string,
  scope: string,
  signal: AbortSignal,
): AsyncGenerator<unknown> {
  const seen = new Set<string>();
  let path: string | undefined = first;
  while (path) {
    if (seen.has(path)) throw new Fault('parent-invalid', `GET ${path}: the list has no end`);
    seen.add(path);
    const found = await patiently(signal, () => ask(link, path as string, scope, signal));
    yield found.page;
    path = nextPage(found.next, new URL(path, link.base).href);
  }
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
    return { page: JSON.parse(bytes.toString('utf8')), ...(next && { next }) };
  } catch (cause) {
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

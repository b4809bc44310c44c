import { Fault } from '#proto/contract/fault.ts';
import { nextIn } from '../answers/link-header.ts';
import { namedPath, urlAt } from '../answers/parent-path.ts';

/** Addresses of the pages of a list. Pure. */

/**
 * RFC 8288: `</v2/_catalog?last=b&n=2>; rel="next"`. The host in it is ignored, the page is requested of the parent:
 * behind a proxy, a registry may know itself by another name or below another path, and a list cut off here would pass
 * for a complete one.
 * @param header the header Link of the page at `path`
 * @param first path of the first page
 * @param base address of the parent
 * @throws Fault `parent-invalid`
 */
export function nextPage(
  header: string | string[] | undefined,
  path: string,
  first: string,
  base: URL,
): string | undefined {
  const target = nextIn([header ?? []].flat().join(', '));
  if (target === undefined) return undefined;
  const current = urlAt(base, path);
  if (!URL.canParse(target, current.href)) {
    throw new Fault('parent-invalid', 'the parent sent an invalid address for the next page of a list');
  }
  const next = new URL(target, current);
  const { pathname: list } = new URL(first, base);
  return lastSegment(next.pathname) === lastSegment(list)
    ? `${list}${next.search}`
    : namedPath(base, next, current);
}

/** The path of a first page that leaves the size of a page to the parent; undefined if the path names none. */
export function withoutSize(path: string): string | undefined {
  return sizeIn(path) === undefined ? undefined : changed(path, (query) => query.delete('n'));
}

/** The path of the page after the entry `last` (distribution-spec, "Listing tags"). */
export const pageAfter = (path: string, last: string): string =>
  changed(path, (query) => query.set('last', last));

/** The size of a page that the path requests. */
export function sizeIn(path: string): number | undefined {
  const size = new URL(path, 'http://parent').searchParams.get('n');
  return size === null ? undefined : Number(size);
}

/** Sizes at which registries cut lists, in entries. */
const CUT_SIZES = { min: 50, max: 10_000, multiples: [50, 64] };

/** Whether a list may have been cut: `count` is the number of entries of its page, `requested` that of the request. */
export function isCutSize(count: number, requested: number | undefined): boolean {
  const { min, max, multiples } = CUT_SIZES;
  if (count > 0 && count === requested) return true;
  return count >= min && count <= max && multiples.some((one) => count % one === 0);
}

function changed(path: string, change: (query: URLSearchParams) => void): string {
  const url = new URL(path, 'http://parent');
  change(url.searchParams);
  return `${url.pathname}${url.search}`;
}

const lastSegment = (pathname: string): string => pathname.slice(pathname.lastIndexOf('/') + 1);

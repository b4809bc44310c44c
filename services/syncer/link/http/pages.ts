import { parseJson } from '#proto/contract/bounded-json.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { refusal } from '../answers/answers.ts';
import { MAX_PAGE_BYTES, readErrorBody } from '../answers/bodies.ts';
import { isStatus, withRetries } from '../answers/retry.ts';
import { nextPage, withoutSize } from './page-links.ts';
import type { ParentLink } from './parent-link.ts';

/** Bounds of one list of a parent. A list beyond them fails, with its path in the message, and delays nothing else. */
export type ListLimits = { parentPages: number; entries: number; ms: number };

const LIMITS: ListLimits = { parentPages: 10_000, entries: 250_000, ms: 30 * 60_000 };
/** Statuses by which a parent refuses the size of a page. A 404 counts only if it does not name its reason. */
const SIZE_REFUSED = [400, 404, 405, 406, 414, 416, 422, 501];

/** A page as JSON, and the path of the next one if the parent names it. */
export type Page = { page: unknown; next: string | undefined };

/** Reads the pages of one list, each path once, within the limits. */
export class PageReader {
  /** Path of the first page, without a size if the parent refuses it. */
  first: string;
  readonly #link: ParentLink;
  readonly #scope: string;
  readonly #signal: AbortSignal;
  readonly #bounds: ListLimits;
  readonly #until: number;
  readonly #read = new Set<string>();
  #entries = 0;

  constructor(
    link: ParentLink,
    first: string,
    scope: string,
    signal: AbortSignal,
    limits: Partial<ListLimits> = {},
  ) {
    this.#link = link;
    this.#scope = scope;
    this.#signal = signal;
    this.#bounds = { ...LIMITS, ...limits };
    this.#until = performance.now() + this.#bounds.ms;
    this.first = (link.refusesPageSize.get() && withoutSize(first)) || first;
  }

  isRead(path: string): boolean {
    return this.#read.has(path);
  }

  /** @throws Fault `parent-invalid` if the page was read before or exceeds a limit; see also `refusal` */
  async read(path: string): Promise<Page> {
    this.#begin(path);
    return this.#counted(path === this.first ? await this.#askFirst() : await this.#ask(path));
  }

  /**
   * A page that the parent did not link to; undefined if it refuses it.
   * @throws Fault as `read` does, unless the parent refuses the page or answers with something else
   */
  async readUnlinked(path: string): Promise<Page | undefined> {
    this.#begin(path);
    try {
      return this.#counted(await this.#ask(path));
    } catch (error) {
      const isRefusal = Fault.is(error, 'parent-refused', 'parent-invalid') || isStatus(error, 500, 501);
      if (!isRefusal || this.#entries > this.#bounds.entries) throw error;
      return undefined;
    }
  }

  #begin(path: string): void {
    const { parentPages, ms } = this.#bounds;
    if (this.#read.has(path)) throw this.invalid('the list does not end: a page repeats');
    this.#read.add(path);
    if (this.#read.size > parentPages) throw this.invalid(`the list has more than ${parentPages} pages`);
    if (performance.now() > this.#until) throw this.invalid(`the list did not end within ${ms / 60_000} min`);
  }

  #counted(answer: Page): Page {
    const { entries } = this.#bounds;
    this.#entries += entriesOf(answer.page);
    if (this.#entries > entries) throw this.invalid(`the list has more than ${entries} entries`);
    return answer;
  }

  invalid(why: string): Fault {
    return new Fault('parent-invalid', `GET ${this.first}: ${why}`);
  }

  /** The first page; if the parent refuses its size, without one. */
  async #askFirst(): Promise<Page> {
    try {
      return await this.#ask(this.first);
    } catch (error) {
      const path = withoutSize(this.first);
      if (path === undefined || !refusedSize(error)) throw error;
      const answer = await this.#ask(path);
      this.#link.refusesPageSize.set(true);
      this.first = path;
      this.#read.add(path);
      return answer;
    }
  }

  async #ask(path: string): Promise<Page> {
    return withRetries(this.#signal, async () => {
      const { page, links } = await ask(this.#link, path, this.#scope, this.#signal);
      return { page, next: nextPage(links, path, this.first, this.#link.base) };
    });
  }
}

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
  const reader = new PageReader(link, first, scope, signal, limits);
  for (let path: string | undefined = reader.first; path; ) {
    const { page, next } = await reader.read(path);
    yield page;
    path = next;
  }
}

/** A page is an object with the list in one of its fields. */
function entriesOf(page: unknown): number {
  const lists = Object.values(page ?? {}).filter((value) => Array.isArray(value));
  return lists.reduce((sum, { length }) => sum + length, 0);
}

function refusedSize(error: unknown): boolean {
  if (!isStatus(error, ...SIZE_REFUSED)) return false;
  return !isStatus(error, 404) || (error as Fault).detail?.reason === undefined;
}

async function ask(
  link: ParentLink,
  path: string,
  scope: string,
  signal: AbortSignal,
): Promise<{ page: unknown; links: string | string[] | undefined }> {
  const headers = { accept: `${mediaTypes.ociIndex}, application/json` };
  const answer = await link.request(path, { scope, signal, headers });
  if (answer.statusCode !== 200) {
    throw refusal(answer.statusCode, answer.headers, await readErrorBody(answer), `GET ${path}`);
  }
  const bytes = await link.read(answer, MAX_PAGE_BYTES, path);
  try {
    return { page: parseJson(bytes), links: answer.headers.link };
  } catch (cause) {
    if (Fault.is(cause)) throw new Fault('parent-invalid', `GET ${path}: ${cause.message}`, { cause });
    throw new Fault('parent-invalid', `GET ${path}: the answer is not JSON`, { cause });
  }
}

/**
 * The strings in a list field of a page.
 * @throws Fault `parent-invalid` if the field is missing, or has no names: as an empty list, it would delete content
 * of this layer
 */
export function strings(page: unknown, field: string): string[] {
  const list = (page as Record<string, unknown> | null)?.[field];
  // Go programs encode an empty list as null.
  if (list === null) return [];
  if (!Array.isArray(list)) throw new Fault('parent-invalid', `the parent sent a list without /${field}`);
  const names = list.map(nameIn).filter((name) => name !== undefined);
  if (names.length === 0 && list.some((item) => item !== null))
    throw new Fault('parent-invalid', `the parent sent a list whose /${field} are no names`);
  return names;
}

/** An entry of a list of names; some registries list objects. */
function nameIn(item: unknown): string | undefined {
  const name = typeof item === 'object' ? (item as { name?: unknown } | null)?.name : item;
  return typeof name === 'string' ? name : undefined;
}

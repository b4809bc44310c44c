import { parseJson } from '#proto/contract/bounded-json.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isRepository } from '#proto/oci/names.ts';
import { refusal } from '../answers/answers.ts';
import { firstValue, MAX_PAGE_BYTES, readErrorBody } from '../answers/bodies.ts';
import { withRetries } from '../answers/retry.ts';
import type { ParentLink } from '../http/parent-link.ts';

/** Entries per page: the most that the API allows. */
const PAGE_SIZE = 100;
/** Bounds of one list. */
const MAX_REPOSITORIES = 250_000;
const MAX_MS = 30 * 60_000;
/** Codes by which the API refuses a request, in the error body. */
const REFUSALS = ['NOT_FOUND', 'UNAUTHORIZED', 'FORBIDDEN'];

type Page = { names: string[]; total: number | undefined };

/**
 * The repositories of a project, from the API of projects (`/api/v2.0/projects`) that some registries have, at which
 * only administrators may list the catalog. It takes the login by Basic.
 * @param project the first segment of their names
 * @returns undefined if the parent does not have this API
 * @throws Fault `parent-refused` if the project does not exist or may not be listed; `parent-invalid`, `busy`, …
 */
export async function projectRepositories(
  link: ParentLink,
  project: string,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  if (link.azure) return undefined;
  const list = `/api/v2.0/projects/${project}/repositories`;
  const invalid = (why: string) => new Fault('parent-invalid', `GET ${list}: ${why}`);
  const until = performance.now() + MAX_MS;
  const names = new Set<string>();
  for (let number = 1; ; number += 1) {
    const page = await withRetries(signal, () =>
      ask(link, `${list}?page=${number}&page_size=${PAGE_SIZE}`, signal),
    );
    // An empty list alone may be anything.
    const isUnknown = !page || (page.names.length === 0 && page.total === undefined);
    if (isUnknown && number === 1) return undefined;
    if (!page) throw invalid(`page ${number} is not a list of repositories`);
    const before = names.size;
    for (const name of page.names) names.add(name);
    if (page.names.length === 0 || names.size >= (page.total ?? Number.POSITIVE_INFINITY)) break;
    if (names.size === before) throw invalid('the list does not end: a page repeats');
    if (names.size > MAX_REPOSITORIES) throw invalid(`the list has more than ${MAX_REPOSITORIES} entries`);
    if (performance.now() > until) throw invalid(`the list did not end within ${MAX_MS / 60_000} min`);
  }
  return [...names].filter((name) => isRepository(name) && name.startsWith(`${project}/`));
}

/** @returns undefined if the answer is not one of this API */
async function ask(link: ParentLink, path: string, signal: AbortSignal): Promise<Page | undefined> {
  const answer = await link.request(path, {
    scope: '',
    signal,
    basic: true,
    redirects: 'return',
    // A project whose name is a number is requested by its name, not by its id.
    headers: { accept: 'application/json', 'x-is-resource-name': 'true' },
  });
  const { statusCode, headers } = answer;
  if (statusCode !== 200) {
    const fault = refusal(statusCode, headers, await readErrorBody(answer), `GET ${path}`);
    if (statusCode === 429 || REFUSALS.includes(String(fault.detail?.reason))) throw fault;
    return undefined;
  }
  const names = namesIn(await link.read(answer, MAX_PAGE_BYTES, path));
  const total = /^\d{1,9}$/.exec(firstValue(headers['x-total-count']) ?? '')?.[0];
  return names && { names, total: total === undefined ? undefined : Number(total) };
}

function namesIn(bytes: Buffer): string[] | undefined {
  let list: unknown;
  try {
    list = parseJson(bytes);
  } catch {
    return undefined;
  }
  if (!Array.isArray(list)) return undefined;
  const names = list.map((one) => {
    const { name, project_id: project } = (one ?? {}) as Record<string, unknown>;
    return typeof name === 'string' && Number.isInteger(project) ? decoded(name) : undefined;
  });
  return names.every((name) => name !== undefined) ? names : undefined;
}

/** Names are as they are, or encoded for a path, once or twice. No name of a repository contains a `%`. */
function decoded(name: string): string {
  try {
    return name.includes('%') ? decodeURIComponent(decodeURIComponent(name)) : name;
  } catch {
    return name;
  }
}

import { each } from '#proto/async/each.ts';
import { parseJson } from '#proto/contract/bounded-json.ts';
import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import type { ParentFacts, ParentRepositories, ParentTarget } from './parent-facts.ts';
import type { HttpAnswer, ParentHttp } from './parent-http.ts';

/** Which of the selected repositories the parent has, as far as the login shows them. */

/** Max repositories selected by name that are asked for. */
export const MAX_NAMED = 20;
/** Max requests at a time: a link may have long round trips. */
const MAX_REQUESTS = 4;
/** Names on a page of a list. */
const PAGE_SIZE = 1_000;
/** Max pages of the catalog that are read. */
const MAX_PAGES = 20;
/** Entries on a page of the list of a project: the max of that API. */
const PROJECT_PAGE_SIZE = 100;

/** Reads them once; two checks need them. */
export function repositoriesOf(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<ParentRepositories> {
  facts.repositories ??= readRepositories(target, facts, signal);
  return facts.repositories;
}

async function readRepositories(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<ParentRepositories> {
  const named = new Map<string, number>();
  const names = target.patterns.filter((pattern) => !pattern.endsWith('*')).slice(0, MAX_NAMED);
  for (const name of names) named.set(name, 0);
  await each(names, MAX_REQUESTS, async (name) => {
    named.set(name, (await listTags(name, target, facts, signal)).status);
  });
  const wide = target.patterns.filter((pattern) => pattern.endsWith('*'));
  // Also to find what a misspelt name stands for; a refusal then does not matter.
  const isMissing = [...named.values()].includes(404);
  if (wide.length === 0 && !isMissing) return { named };
  const catalog = await readCatalog(wide, facts, signal);
  return wide.length === 0 && 'refused' in catalog ? { named } : { named, catalog };
}

/** Asks for the tags of a repository: a registry answers 404 for one that it does not have, or does not show. */
export async function listTags(
  repository: string,
  { isAzure }: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const scope = `repository:${repository}:${isAzure ? 'pull,metadata_read' : 'pull'}`;
  return ask(`/v2/${repository}/tags/list?n=1`, scope, facts, signal);
}

export async function ask(
  path: string,
  scope: string,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const authorization = await facts.authorize?.(scope, signal);
  return (facts.http as ParentHttp).request(path, { headers: { authorization }, signal });
}

async function readCatalog(
  patterns: readonly string[],
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<{ names: string[]; partial: boolean } | { refused: number }> {
  const names: string[] = [];
  let last: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = new URLSearchParams({ n: `${PAGE_SIZE}`, ...(last !== undefined && { last }) });
    let answer = await ask(`/v2/_catalog?${query}`, 'registry:catalog:*', facts, signal);
    // Some registries refuse the size of a page.
    if (answer.status === 400 && page === 0)
      answer = await ask('/v2/_catalog', 'registry:catalog:*', facts, signal);
    if (answer.status !== 200) {
      return names.length > 0
        ? { names, partial: true }
        : refusedCatalog(answer.status, patterns, facts, signal);
    }
    const listed = namesIn(answer.body);
    for (const name of listed) names.push(name);
    const isLinked = answer.headers.link !== undefined;
    // A large catalog costs the link more than its end says.
    const isEnough = isLinked && patterns.length > 0 && patterns.every((one) => matches(one, names));
    if (isEnough) return { names, partial: true };
    if (!isLinked || listed.length === 0 || listed.at(-1) === last) return { names, partial: false };
    last = listed.at(-1);
  }
  return { names, partial: true };
}

/** Registries with projects list those of a project to a login that may not read the catalog. */
async function refusedCatalog(
  refused: number,
  patterns: readonly string[],
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<{ names: string[]; partial: boolean } | { refused: number }> {
  const names: string[] = [];
  for (const pattern of patterns) {
    const [project = ''] = pattern.split('/');
    if (project === '*') return { refused };
    const path = `/api/v2.0/projects/${project}/repositories?page_size=${PROJECT_PAGE_SIZE}`;
    const answer = await ask(path, '', { ...facts, authorize: facts.basic }, signal);
    if (answer.status !== 200) return { refused };
    for (const name of projectNamesIn(answer.body)) names.push(name);
  }
  return names.length > 0 ? { names, partial: true } : { refused };
}

function namesIn(body: Buffer): string[] {
  const { repositories } = (jsonIn(body) ?? {}) as { repositories?: unknown };
  return Array.isArray(repositories) ? repositories.filter((one) => typeof one === 'string') : [];
}

function projectNamesIn(body: Buffer): string[] {
  const list = jsonIn(body);
  const names = Array.isArray(list) ? list.map((one) => (one as { name?: unknown } | null)?.name) : [];
  return names.filter((one) => typeof one === 'string');
}

function jsonIn(body: Buffer): unknown {
  try {
    return parseJson(body);
  } catch {
    return undefined;
  }
}

const matches = (pattern: string, names: readonly string[]): boolean =>
  names.some((name) => matchesPattern([pattern], name));

/** Names that the pattern matches, among those that were read. Pure. */
export function matchesOf(pattern: string, { named, catalog }: ParentRepositories): string[] {
  if (!pattern.endsWith('*')) return named.get(pattern) === 200 ? [pattern] : [];
  return catalog && 'names' in catalog ? catalog.names.filter((name) => matchesPattern([pattern], name)) : [];
}

import { nearWords } from '#proto/contract/near-words.ts';
import { plural } from '../../terminal/figures.ts';
import { type Finding, fault, type Verdict } from '../verdict/check.ts';
import type { ParentFacts, ParentRepositories, ParentTarget } from './parent-facts.ts';
import { matchesOf, repositoriesOf } from './repositories.ts';

/** Whether each pattern of the selection matches a repository of the parent. */

/** @param here repositories that this layer has, if it runs: a pattern that matches one of them is used */
export async function checkSelection(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
  here: (pattern: string) => Promise<boolean>,
): Promise<Verdict> {
  const repositories = await repositoriesOf(target, facts, signal);
  const { catalog, named } = repositories;
  const asked = target.patterns.filter((one) => one.endsWith('*') || named.has(one));
  const unmatched = asked.filter((pattern) => matchesOf(pattern, repositories).length === 0);
  const missing: string[] = [];
  for (const pattern of unmatched) {
    const isUnknown = pattern.endsWith('*') && (!catalog || 'refused' in catalog || catalog.partial);
    const isRefused = named.has(pattern) && named.get(pattern) !== 404;
    if (!isUnknown && !isRefused && !(await here(pattern))) missing.push(pattern);
  }
  return selectionVerdict(asked, missing, repositories, target.patterns.length);
}

/**
 * Pure.
 * @param missing patterns that match nothing, neither at the parent nor here
 * @param all number of patterns
 */
export function selectionVerdict(
  patterns: readonly string[],
  missing: readonly string[],
  { catalog }: ParentRepositories,
  all = patterns.length,
): Verdict {
  const names = catalog && 'names' in catalog ? catalog.names : [];
  if (patterns.length === 0) return { about: 'nothing is selected' };
  const isEmpty = catalog !== undefined && 'names' in catalog && names.length === 0;
  const counted = names.filter((name) =>
    patterns.some((pattern) => matchesOf(pattern, { named: new Map(), catalog }).includes(name)),
  );
  const bound = catalog && 'names' in catalog && catalog.partial ? 'at least ' : '';
  const about = isEmpty
    ? 'the parent shows no repositories yet'
    : `${patterns.length < all ? `the first ${patterns.length} of ` : ''}${plural(all, 'pattern')}${counted.length > 0 ? `, ${bound}${plural(counted.length, 'repository', 'repositories')} by the catalog` : ''}`;
  return {
    about,
    // A parent without any repository is a new one.
    findings: isEmpty ? [] : missing.map((pattern) => notFound(pattern, names)),
  };
}

function notFound(pattern: string, names: readonly string[]): Finding {
  const suffix = pattern.endsWith('/*') ? '/*' : '';
  const known = suffix === '' ? names : [...new Set(names.flatMap(prefixesOf))];
  const near = nearWords(pattern.slice(0, pattern.length - suffix.length), known).map(
    (name) => `${name}${suffix}`,
  );
  const question = near.length > 0 ? `did you mean ${near.join(' or ')}? ` : '';
  return fault(
    `the selection ${pattern} matches nothing at the parent`,
    `${question}correct it in the field repositories, or let the login see that repository`,
  );
}

/** `a` and `a/b` of `a/b/c`. */
const prefixesOf = (name: string): string[] =>
  name
    .split('/')
    .slice(0, -1)
    .map((_, end, parts) => parts.slice(0, end + 1).join('/'));

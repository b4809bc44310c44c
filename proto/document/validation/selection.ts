import { isDeepStrictEqual } from 'node:util';
import { isRenaming, MAX_RENAMES, type Rename, renamed } from '../../oci/repository-names.ts';
import { isRepositoryPattern, matchesPattern } from '../../oci/repository-pattern.ts';
import { semver } from '../../oci/semver.ts';
import { readGlob } from '../../oci/tag-glob.ts';
import { readTagRegex } from '../../oci/tag-regex.ts';
import type { Document } from '../document.ts';
import type { Selection, TagFilter } from '../selection.ts';
import { notValid, quote, remedyOf } from './remedies.ts';
import { entriesOf } from './well-formed.ts';

/** Complaints about the field `repositories`. */

export function selectionComplaints(repositories: NonNullable<Document['repositories']>): string[] {
  const complaints: string[] = [];
  const seen = new Map<string, Selection>();
  const named: [at: number, one: string | Selection][] = [];
  for (const [at, one] of entriesOf(repositories)) {
    const field = `repositories.${at}`;
    const selection = typeof one === 'string' ? { name: one } : one;
    const { name, as, from, tags } = selection;
    const misnamed = nameComplaints(field, one);
    for (const complaint of misnamed) complaints.push(complaint);
    if (misnamed.length === 0) named.push([at, one]);
    for (const complaint of tags ? tagComplaints(`${field}.tags`, tags) : []) complaints.push(complaint);
    const names = `${as ?? name} ${from ?? name}`;
    const previous = seen.get(names);
    if (previous && !isDeepStrictEqual(previous, selection)) {
      complaints.push(`${field} is the second entry for ${quote(as ?? name)}: merge the two`);
    }
    seen.set(names, selection);
  }
  return [...complaints, ...renameComplaints(named)];
}

/** Each entry has either `name`, or `from` and `as`. */
function nameComplaints(field: string, one: string | Selection): string[] {
  if (typeof one === 'string') return isRepositoryPattern(one) ? [] : [notValid('repositories', one)];
  const { name, from, as } = one;
  const complaints = Object.entries({ name, from, as }).flatMap(([key, pattern]) =>
    pattern === undefined || isRepositoryPattern(pattern) ? [] : [notValid(`${field}.${key}`, pattern)],
  );
  const missing = (key: string) => `${field}.${key} is missing: ${remedyOf(`${field}.${key}`)}`;
  if (name !== undefined && (from ?? as) !== undefined)
    return [...complaints, `${field} has both name and ${from ? 'from' : 'as'}: write name, or from and as`];
  if (name === undefined && from === undefined && as === undefined) return [...complaints, missing('name')];
  if (name === undefined && from === undefined) return [...complaints, missing('from')];
  if (name === undefined && as === undefined) return [...complaints, missing('as')];
  return complaints;
}

/**
 * No two repositories of the parent may have one name here, and none may have two: where two entries select the same
 * repositories, here or at the parent, both have to give them the same names.
 */
function renameComplaints(named: [at: number, one: string | Selection][]): string[] {
  const entries = named.map(([at, one]) => {
    const { name = '', as = name, from = as } = typeof one === 'string' ? { name: one } : one;
    return { name: as, from, field: `repositories.${at}` };
  });
  const renames = entries.filter(({ name, from }) => name !== from);
  if (renames.length > MAX_RENAMES)
    return [`repositories has more than ${MAX_RENAMES} entries with from: use prefix/* for some of them`];
  const misfit = renames.find((entry) => !isRenaming(entry));
  if (misfit) {
    return [
      `${misfit.field}.as ${quote(misfit.name)} does not fit from ${quote(misfit.from)}: write a name for a name, or prefix/* or * for prefix/* or *`,
    ];
  }
  return renames.flatMap((entry) => {
    const other = entries.find((one) => one !== entry && differ(entry, one));
    if (!other) return [];
    const { field, name, from } = entry;
    return overlap(name, other.name)
      ? [
          `${field}.as ${quote(name)} is also selected by ${other.field} (${quote(other.name)}), as another repository of the parent: choose other names, or select less there`,
        ]
      : [
          `${field}.from ${quote(from)} is also selected by ${other.field} (${quote(other.from)}), under another name here: select each repository of the parent under one name`,
        ];
  });
}

/** Whether a pattern covers the other one. Patterns cannot overlap otherwise. */
const overlap = (one: string, other: string): boolean =>
  matchesPattern([one], other) || matchesPattern([other], one);

/** Whether two entries select the same repositories, here or at the parent, and give them different names. */
function differ(one: Rename, other: Rename): boolean {
  if (!overlap(one.name, other.name) && !overlap(one.from, other.from)) return false;
  const [wide, narrow] = matchesPattern([one.name], other.name) ? [one, other] : [other, one];
  return (
    !matchesPattern([wide.name], narrow.name) || renamed(narrow.name, wide.name, wide.from) !== narrow.from
  );
}

function tagComplaints(field: string, { match = [], regex, semver: range }: TagFilter): string[] {
  const complaints = match
    .map((glob, at) => [glob, `${field}.match.${at}`] as const)
    .filter(([glob]) => !readGlob(glob))
    .map(([glob, where]) => notValid(where, glob));
  const matcher = regex !== undefined && readTagRegex(regex);
  if (typeof matcher === 'object') complaints.push(notValid(`${field}.regex`, regex, matcher.reason));
  if (range !== undefined && semver().validRange(range, { loose: true }) === null) {
    complaints.push(notValid(`${field}.semver`, range));
  }
  return complaints;
}

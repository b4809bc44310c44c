import { isDeepStrictEqual } from 'node:util';
import { validRange } from 'semver';
import { isRepositoryPattern } from '../../oci/repository-pattern.ts';
import { readGlob } from '../../oci/tag-glob.ts';
import { readTagRegex } from '../../oci/tag-regex.ts';
import type { Document } from '../document.ts';
import type { Selection, TagFilter } from '../selection.ts';
import { notValid, quote } from './remedies.ts';

/** Complaints about the field `repositories`. */

export function selectionComplaints(repositories: NonNullable<Document['repositories']>): string[] {
  const complaints: string[] = [];
  const seen = new Map<string, Selection>();
  for (const [at, one] of repositories.entries()) {
    const field = `repositories.${at}`;
    const selection = typeof one === 'string' ? { name: one } : one;
    const { name, tags } = selection;
    if (!isRepositoryPattern(name))
      complaints.push(notValid(typeof one === 'string' ? 'repositories' : `${field}.name`, name));
    for (const complaint of tags ? tagComplaints(`${field}.tags`, tags) : []) complaints.push(complaint);
    const previous = seen.get(name);
    if (previous && !isDeepStrictEqual(previous, selection)) {
      complaints.push(`${field} is the second entry for ${quote(name)}: merge the two`);
    }
    seen.set(name, selection);
  }
  return complaints;
}

function tagComplaints(field: string, { match = [], regex, semver }: TagFilter): string[] {
  const complaints = match
    .map((glob, at) => [glob, `${field}.match.${at}`] as const)
    .filter(([glob]) => !readGlob(glob))
    .map(([glob, where]) => notValid(where, glob));
  const matcher = regex !== undefined && readTagRegex(regex);
  if (typeof matcher === 'object') complaints.push(notValid(`${field}.regex`, regex, matcher.reason));
  if (semver !== undefined && validRange(semver, { loose: true }) === null) {
    complaints.push(notValid(`${field}.semver`, semver));
  }
  return complaints;
}

import { isDeepStrictEqual } from 'node:util';
import { validRange } from 'semver';
import type { Document, Selection, TagFilter } from './configuration.ts';
import { notValid, quote } from './document-remedies.ts';
import { isRepository } from './names.ts';

/** What is wrong with what a document says of the repositories that are brought. */

export function selectionComplaints(repositories: NonNullable<Document['repositories']>): string[] {
  const complaints: string[] = [];
  const seen = new Map<string, Selection>();
  for (const [at, one] of repositories.entries()) {
    const field = `repositories.${at}`;
    const selection = typeof one === 'string' ? { name: one } : one;
    const { name, tags } = selection;
    if (!isPattern(name))
      complaints.push(notValid(typeof one === 'string' ? 'repositories' : `${field}.name`, name));
    if (tags) complaints.push(...tagComplaints(`${field}.tags`, tags));
    const before = seen.get(name);
    if (before && !isDeepStrictEqual(before, selection)) {
      complaints.push(`${field} is the second entry for ${quote(name)}: say all of it in one`);
    }
    seen.set(name, selection);
  }
  return complaints;
}

export const isPattern = (pattern: string): boolean =>
  pattern === '*' || isRepository(pattern.replace(/\/\*$/, ''));

function tagComplaints(field: string, { match = [], regex, semver }: TagFilter): string[] {
  const complaints = match
    .map((glob, at) => [glob, `${field}.match.${at}`] as const)
    .filter(([glob]) => !isGlob(glob))
    .map(([glob, where]) => notValid(where, glob));
  const why = regex !== undefined && whyNoRegex(regex);
  if (why) complaints.push(notValid(`${field}.regex`, regex, why));
  if (semver !== undefined && validRange(semver, { loose: true }) === null) {
    complaints.push(notValid(`${field}.semver`, semver));
  }
  return complaints;
}

/** What tags are made of, and what globs are; `!` only as `!(…)` and `[!…]`, and brackets in pairs. */
function isGlob(glob: string): boolean {
  if (!/^(?:[\w.*?[\]{}(),|@+^-]|!\(|\[!)+$/.test(glob)) return false;
  let rest = glob;
  for (let before = ''; before !== rest; ) {
    before = rest;
    rest = rest.replace(/\([^()[\]{}]*\)|\[[^()[\]{}]+\]|\{[^()[\]{}]*\}/, '');
  }
  return !/[()[\]{}]/.test(rest);
}

function whyNoRegex(source: string): string | undefined {
  try {
    new RegExp(source, 'u');
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^.*: /, '');
  }
}

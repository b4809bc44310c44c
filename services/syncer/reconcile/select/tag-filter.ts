import { setImmediate as turn } from 'node:timers/promises';
import type { SemVer } from 'semver';
import { batches } from '#proto/async/batches.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { TagFilter } from '#proto/document/selection.ts';
import { semver } from '#proto/oci/semver.ts';
import { readGlob } from '#proto/oci/tag-glob.ts';
import { readTagRegex } from '#proto/oci/tag-regex.ts';

/**
 * The tags that a filter selects: those that meet all of its conditions, and of these the `latest` highest ones.
 * As in semver, `1.2.3-rc.1` is in a range only if the range names a prerelease of 1.2.3; `1.2.3-alpine` has the same
 * form, and so needs `regex` or `match`.
 * @throws Fault `config-invalid` if a pattern can't be parsed: the document may be from an earlier version
 */
export function tagsOf(filter: TagFilter | undefined, tags: Iterable<string>): Set<string> {
  const { match, regex, semver: range, latest } = filter ?? {};
  let chosen = [...tags];
  if (match) {
    const globs = match.map((glob) => readGlob(glob) ?? rejectPattern('match', glob));
    chosen = chosen.filter((tag) => globs.some((isMatch) => isMatch(tag)));
  }
  if (regex !== undefined) {
    const isMatch = readTagRegex(regex);
    if (typeof isMatch === 'object') return rejectPattern('regex', regex, isMatch.reason);
    chosen = chosen.filter((tag) => isMatch(tag));
  }
  if (range !== undefined) {
    chosen = chosen.filter((tag) => {
      const version = versionOf(tag);
      return version !== undefined && semver().satisfies(version, range, { loose: true });
    });
  }
  if (latest !== undefined) chosen = highest(chosen, latest);
  return new Set(chosen);
}

/** Max tags that are filtered before the event loop gets a turn. */
const MAX_BATCH = 2_000;

/** `tagsOf` for a list of any length: yields to the event loop. */
export async function selectedTags(
  filter: TagFilter | undefined,
  tags: readonly string[],
): Promise<Set<string>> {
  const { latest, ...perTag } = filter ?? {};
  const chosen: string[] = [];
  for (const batch of batches(tags, MAX_BATCH)) {
    for (const tag of tagsOf(perTag, batch)) chosen.push(tag);
    await turn();
  }
  return latest === undefined ? new Set(chosen) : tagsOf({ latest }, chosen);
}

/** The names that a filter covers, other than by `latest`, which orders valid tags only. */
export const selectedNames = async (
  names: readonly string[],
  { tags: { latest: _, ...filter } = {} }: { tags?: TagFilter | undefined },
): Promise<string[]> => [...(await selectedTags(filter, names))];

function rejectPattern(field: string, pattern: string, reason = 'it is not a valid glob'): never {
  throw new Fault(
    'config-invalid',
    `repositories.tags.${field} ${JSON.stringify(pattern)} can't be used: ${reason}`,
  );
}

/** Any version that semver parses in loose mode, such as `v1.2.3-rc.1`; `1.2` is 1.2.0. */
function versionOf(tag: string): SemVer | undefined {
  return semver().parse(/^v?\d+\.\d+$/.test(tag) ? `${tag}.0` : tag, { loose: true }) ?? undefined;
}

/** The highest tags: versions by precedence, then all other tags in natural order. */
function highest(tags: string[], count: number): string[] {
  const entries = tags.map((tag) => ({ tag, version: versionOf(tag), runs: runsOf(tag) }));
  entries.sort((a, b) => {
    if (a.version && b.version) return semver().compare(b.version, a.version) || natural(b, a);
    if (a.version || b.version) return a.version ? -1 : 1;
    return natural(b, a);
  });
  return entries.slice(0, count).map(({ tag }) => tag);
}

type Entry = { tag: string; runs: (string | bigint)[] };

/** Natural order: runs of digits as numbers (`build-9` before `build-10`), all else by code unit. Total: `01` ≠ `1`. */
function natural(a: Entry, b: Entry): number {
  const [left, right] = [a.runs, b.runs];
  for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
    const [one, other] = [left[at], right[at]];
    const order =
      typeof one === 'bigint' && typeof other === 'bigint'
        ? byCode(one, other)
        : byCode(String(one), String(other));
    if (order !== 0) return order;
  }
  return left.length - right.length || byCode(a.tag, b.tag);
}

const runsOf = (text: string): (string | bigint)[] =>
  (text.match(/\d+|\D+/g) ?? []).map((run) => (/^\d/.test(run) ? BigInt(run) : run));
const byCode = <T extends string | bigint>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);

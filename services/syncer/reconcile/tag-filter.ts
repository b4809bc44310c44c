import picomatch from 'picomatch';
import { compare, parse, type SemVer, satisfies } from 'semver';
import type { TagFilter } from '#proto/configuration.ts';

/**
 * The tags that a filter selects: those for which all that it gives is true, and of these the `latest` highest.
 * `1.2.3-rc.1` is in a range only if the range names a prerelease of 1.2.3, as semver has it; so `1.2.3-alpine`, which
 * has the same form, needs `regex` or `match`.
 */
export function tagsOf(filter: TagFilter | undefined, tags: Iterable<string>): Set<string> {
  const { match, regex, semver: range, latest } = filter ?? {};
  let chosen = [...tags];
  if (match) {
    const isMatch = picomatch(match, { nonegate: true });
    chosen = chosen.filter((tag) => isMatch(tag));
  }
  if (regex !== undefined) {
    const whole = new RegExp(`^(?:${regex})$`, 'u');
    chosen = chosen.filter((tag) => whole.test(tag));
  }
  if (range !== undefined) {
    chosen = chosen.filter((tag) => {
      const version = versionOf(tag);
      return version !== undefined && satisfies(version, range, { loose: true });
    });
  }
  if (latest !== undefined) chosen = highest(chosen, latest);
  return new Set(chosen);
}

/** `1.2.3`, `v1.2.3-rc.1` and what else semver reads, and `1.2` as 1.2.0. */
function versionOf(tag: string): SemVer | undefined {
  return parse(/^v?\d+\.\d+$/.test(tag) ? `${tag}.0` : tag, { loose: true }) ?? undefined;
}

/** Versions by their precedence; all other tags come below them, in natural order. */
function highest(tags: string[], count: number): string[] {
  const entries = tags.map((tag) => ({ tag, version: versionOf(tag) }));
  entries.sort((a, b) => {
    if (a.version && b.version) return compare(b.version, a.version) || natural(b.tag, a.tag);
    if (a.version || b.version) return a.version ? -1 : 1;
    return natural(b.tag, a.tag);
  });
  return entries.slice(0, count).map(({ tag }) => tag);
}

/** `build-9` before `build-10`: runs of digits as numbers, all else by its code; total, so `01` and `1` differ. */
function natural(a: string, b: string): number {
  const [left, right] = [runsOf(a), runsOf(b)];
  for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
    const [one, other] = [left[at] as string, right[at] as string];
    const bothNumbers = /^\d/.test(one) && /^\d/.test(other);
    const order = bothNumbers ? byCode(BigInt(one), BigInt(other)) : byCode(one, other);
    if (order !== 0) return order;
  }
  return left.length - right.length || byCode(a, b);
}

const runsOf = (text: string): string[] => text.match(/\d+|\D+/g) ?? [];
const byCode = <T extends string | bigint>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);

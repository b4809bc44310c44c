/**
 * A `WWW-Authenticate` challenge (RFC 9110, 11.6.1), as registries send it:
 * `Bearer realm="https://…/token",service="…",scope="repository:a/b:pull"`
 * Empty parameters are left out. Of a repeated one the first value counts; scopes are joined.
 */
export type ParentChallenge = { scheme: 'basic' | 'bearer'; parameters: Record<string, string> };

/** The parameters that are read. */
const READ = ['realm', 'service', 'scope'];
const SEPARATOR = /[\s,;]+/y;
const TOKEN = /[^\s",;=]+/y;
const EQUALS = /\s*=\s*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
const UNQUOTED = /[^\s,;"]+/y;
/** The actions of an unquoted scope, such as `repository:a:pull,push`. */
const UNQUOTED_SCOPE = /[^\s,;"]+(?:,[a-z*]+(?![^\s,;]))*/y;

/** The supported challenges, in their order; Bearer before Basic. */
export function readChallenges(header: string | string[] | undefined): ParentChallenge[] {
  const challenges = [header ?? []].flat().flatMap(challengesIn);
  const of = (wanted: ParentChallenge['scheme']) => challenges.filter(({ scheme }) => scheme === wanted);
  return [...of('bearer'), ...of('basic')];
}

/** A single pass over the text. A character that is not part of a challenge is skipped. */
function challengesIn(line: string): ParentChallenge[] {
  const challenges: ParentChallenge[] = [];
  /** Undefined in a challenge of another scheme. */
  let current: ParentChallenge | undefined;
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(line);
    if (match) at = pattern.lastIndex;
    return match;
  };
  while (at < line.length) {
    take(SEPARATOR);
    const name = take(TOKEN)?.[0].toLowerCase();
    if (name === undefined) {
      at += 1;
      continue;
    }
    if (!take(EQUALS)) {
      current = name === 'basic' || name === 'bearer' ? { scheme: name, parameters: {} } : undefined;
      if (current) challenges.push(current);
      continue;
    }
    const quoted = take(QUOTED)?.[1]?.replace(/\\(.)/g, '$1');
    const value = quoted ?? take(name === 'scope' ? UNQUOTED_SCOPE : UNQUOTED)?.[0];
    if (!value || !current || !READ.includes(name)) continue;
    const before = current.parameters[name];
    if (before === undefined) current.parameters[name] = value;
    else if (name === 'scope') current.parameters[name] = `${before} ${value}`;
  }
  return challenges;
}

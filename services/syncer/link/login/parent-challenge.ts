/**
 * A `WWW-Authenticate` challenge (RFC 9110, 11.6.1), as registries send it:
 * `Bearer realm="https://…/token",service="…",scope="repository:a/b:pull"`
 */
export type ParentChallenge = { scheme: 'basic' | 'bearer'; parameters: Record<string, string> };

const SEPARATOR = /[\s,]+/y;
const TOKEN = /[^\s",=]+/y;
const EQUALS = /\s*=\s*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;

/** The first supported challenge; Bearer is preferred to Basic. */
export function readChallenge(header: string | string[] | undefined): ParentChallenge | undefined {
  const challenges = [header ?? []].flat().flatMap(challengesIn);
  return challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges[0];
}

/** A single pass over the text. It ends at the first character that is not part of a challenge. */
function challengesIn(line: string): ParentChallenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(line);
    if (match) at = pattern.lastIndex;
    return match;
  };
  for (;;) {
    take(SEPARATOR);
    const name = take(TOKEN)?.[0].toLowerCase();
    if (name === undefined) break;
    if (!take(EQUALS)) challenges.push({ scheme: name, parameters: new Map() });
    else {
      const value = take(QUOTED)?.[1]?.replace(/\\(.)/g, '$1') ?? take(TOKEN)?.[0];
      if (value !== undefined) challenges.at(-1)?.parameters.set(name, value);
    }
  }
  return challenges.flatMap(({ scheme, parameters }) =>
    scheme === 'basic' || scheme === 'bearer' ? [{ scheme, parameters: Object.fromEntries(parameters) }] : [],
  );
}

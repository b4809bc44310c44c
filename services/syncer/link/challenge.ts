/**
 * A `WWW-Authenticate` challenge (RFC 9110, 11.6.1), as registries send it:
 * `Bearer realm="https://…/token",service="…",scope="repository:a/b:pull"`
 */
export type Challenge = { scheme: 'basic' | 'bearer'; parameters: Record<string, string> };

const PARAMETER = /([a-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/gi;

/** The first challenge that we can answer; Bearer before Basic. */
export function readChallenge(header: string | string[] | undefined): Challenge | undefined {
  const found: Challenge[] = [];
  for (const line of [header ?? []].flat()) {
    // Several challenges may share a line: a scheme is a word that is followed by a blank, not by "=".
    for (const part of line.split(/(?:^|,)\s*(?=(?:basic|bearer)\b(?!\s*=))/i)) {
      const scheme = /^\s*(basic|bearer)\b/i.exec(part)?.[1]?.toLowerCase() as
        | Challenge['scheme']
        | undefined;
      if (!scheme) continue;
      const parameters: Record<string, string> = {};
      for (const [, name, quoted, plain] of part.slice(scheme.length).matchAll(PARAMETER)) {
        parameters[(name as string).toLowerCase()] = quoted?.replace(/\\(.)/g, '$1') ?? (plain as string);
      }
      found.push({ scheme, parameters });
    }
  }
  return found.find(({ scheme }) => scheme === 'bearer') ?? found[0];
}

/**
 * A `WWW-Authenticate` challenge (RFC 9110, 11.6.1), as registries send it:
 * `Bearer realm="https://…/token",service="…",scope="repository:a/b:pull"`
 */
export type Challenge = { scheme: 'basic' | 'bearer'; parameters: Record<string, string> };

const SEPARATOR = /[\s,]+/y;
const TOKEN = /[^\s",=]+/y;
const EQUALS = /\s*=\s*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;

/** The first challenge that we can answer; Bearer before Basic. */
export function readChallenge(header: string | string[] | undefined): Challenge | undefined {
  const found = [header ?? []].flat().flatMap(challengesIn);
  return found.find(({ scheme }) => scheme === 'bearer') ?? found[0];
}

/** One run over the text, which ends where it is no challenge any more. */
function challengesIn(line: string): Challenge[] {
  const found: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (form: RegExp): RegExpExecArray | null => {
    form.lastIndex = at;
    const match = form.exec(line);
    if (match) at = form.lastIndex;
    return match;
  };
  for (;;) {
    take(SEPARATOR);
    const name = take(TOKEN)?.[0].toLowerCase();
    if (name === undefined) break;
    if (!take(EQUALS)) found.push({ scheme: name, parameters: new Map() });
    else {
      const value = take(QUOTED)?.[1]?.replace(/\\(.)/g, '$1') ?? take(TOKEN)?.[0];
      if (value !== undefined) found.at(-1)?.parameters.set(name, value);
    }
  }
  return found.flatMap(({ scheme, parameters }) =>
    scheme === 'basic' || scheme === 'bearer' ? [{ scheme, parameters: Object.fromEntries(parameters) }] : [],
  );
}

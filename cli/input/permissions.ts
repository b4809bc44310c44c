import { actionsOfWords, permissionWords as words } from '#proto/accounts/permission-words.ts';

export type Permissions = { action?: string[]; pull?: string[]; push?: string[]; delete?: string[] };

/** The actions that the options stand for, each once; undefined where there are none. */
export function actionsOf(permissions: Permissions): string[] | undefined {
  const actions = [...new Set([...(permissions.action ?? []), ...actionsOfWords(permissions)])];
  return actions.length > 0 ? actions : undefined;
}

/** For a person: `[pattern, 'push, delete']`, and gateway actions as they are. */
export function describeActions(actions: string[]): string[][] {
  const patterns = new Map<string, Set<string>>();
  const others: string[][] = [];
  for (const action of actions) {
    const [, pattern, what] = /^repositories\/(.+)\/(\w+\/\w+)$/.exec(action) ?? [];
    if (pattern === undefined || what === undefined) others.push([action, '']);
    else patterns.set(pattern, (patterns.get(pattern) ?? new Set()).add(what));
  }
  return [...[...patterns].map(([pattern, its]) => [pattern, inWords(its).join(', ')]), ...others];
}

function inWords(actions: Set<string>): string[] {
  const left = new Set(actions);
  const found: string[] = [];
  // Whoever may push may pull.
  for (const word of ['push', 'pull', 'delete'] as const) {
    const its = words[word];
    if (!its.every((action) => actions.has(action)) || !its.some((action) => left.has(action))) continue;
    found.push(word);
    for (const action of its) left.delete(action);
  }
  return [...found, ...left];
}

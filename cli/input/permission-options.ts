import { type Command, Option } from 'commander';
import {
  actionsOfWords,
  type OperateWord,
  operateWords,
  permissionWords as words,
} from '#proto/accounts/permission-words.ts';

export type PermissionOptions = {
  action?: string[];
  pull?: string[];
  push?: string[];
  delete?: string[];
  operate?: OperateWord;
};

/** Adds the options that grant permissions. */
export const withPermissionOptions = (command: Command): Command =>
  command
    .option('--action <action...>', 'action to allow, such as repositories/line/*/content/read')
    .option('--pull <pattern...>', 'repositories to pull from: a name, prefix/* or *')
    .option('--push <pattern...>', 'repositories to pull from and push to')
    .option('--delete <pattern...>', 'repositories to delete from')
    .addOption(
      new Option(
        '--operate [what]',
        'operate the layer: read, to see everything of it, or write, to act on it, too',
      )
        .choices(Object.keys(operateWords))
        .preset('write'),
    );

/** The actions that the options grant, without duplicates; undefined if there are none. */
export function requestedActions(permissions: PermissionOptions): string[] | undefined {
  const actions = [...new Set([...(permissions.action ?? []), ...actionsOfWords(permissions)])];
  return actions.length > 0 ? actions : undefined;
}

/** Table rows for people: `[pattern, 'push, delete']`; gateway actions unchanged. */
export function describeActions(actions: string[]): string[][] {
  const patterns = new Map<string, Set<string>>();
  const others: string[][] = [];
  for (const action of actions) {
    const [, pattern, what] = /^repositories\/(.+)\/(\w+\/\w+)$/.exec(action) ?? [];
    if (pattern === undefined || what === undefined) others.push([action, '']);
    else patterns.set(pattern, (patterns.get(pattern) ?? new Set()).add(what));
  }
  return [...[...patterns].map(([pattern, granted]) => [pattern, inWords(granted).join(', ')]), ...others];
}

function inWords(actions: Set<string>): string[] {
  const remaining = new Set(actions);
  const names: string[] = [];
  // Push first, as it includes pull.
  for (const word of ['push', 'pull', 'delete'] as const) {
    const granted = words[word];
    if (!granted.every((action) => actions.has(action)) || !granted.some((action) => remaining.has(action)))
      continue;
    names.push(word);
    for (const action of granted) remaining.delete(action);
  }
  return [...names, ...remaining];
}

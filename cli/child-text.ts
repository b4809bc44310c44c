import type { Configuration, Mode } from '#proto/configuration.ts';
import { gatewayActions, ruleOf } from '#proto/scopes.ts';
import { duration, table } from './figures.ts';
import { registryOf } from './token-text.ts';

/** Layers below, as a person reads them. */
export type Child = {
  name: string;
  /** What its token may do; absent where it has none any more. */
  mode?: Mode;
  repositories?: string[];
  /** Absent where none is active. */
  instance?: string;
  since?: number | undefined;
  seen?: number;
  /** Of its link, as it last told. */
  state?: string;
};

export const childActions = (child: string): string[] =>
  gatewayActions.map((action) => `gateway/${child}/${action}`);

/** What a sync token allows, in the words that it was made with. */
export function modeOf(actions: string[]): Pick<Child, 'mode' | 'repositories'> {
  const rules = actions.flatMap((action) => ruleOf(action) ?? []);
  if (rules.length === 0) return {};
  const writes = rules.some(({ action }) => action === 'content/write');
  return {
    mode: writes ? 'ReadWrite' : 'ReadOnly',
    repositories: [...new Set(rules.map(({ pattern }) => pattern))],
  };
}

/** The part of the child's document that leads it here. */
export function configurationText({
  name,
  mode,
  repositories,
  parent,
}: {
  name: string;
  mode: Mode;
  repositories: string[];
  parent: Configuration | undefined;
}): string {
  return [
    `mode: ${mode}`,
    'parent:',
    `  url: ${parent?.tls ? 'https' : 'http'}://${registryOf(parent)}`,
    `  username: ${name}`,
    '  passwordFile: /run/secrets/parent',
    'repositories:',
    ...repositories.map((pattern) => `  - ${JSON.stringify(pattern)}`),
  ]
    .map((line) => `  ${line}`)
    .join('\n');
}

export function describeChildren(children: Child[], now: number): string {
  if (children.length === 0) return 'No layer below has a sync token.';
  const ago = (instant: number | undefined) =>
    instant === undefined ? '' : `${duration(now - instant)} ago`;
  const rows = children.map(({ name, mode, repositories, instance, since, seen, state }) => [
    name,
    mode ?? 'no token',
    repositories?.join(' ') ?? '',
    instance ? `since ${duration(now - (since ?? now))}` : 'no',
    ago(seen),
    state ?? '',
  ]);
  return table([['NAME', 'MODE', 'REPOSITORIES', 'ACTIVE', 'SEEN', 'LINK'], ...rows]);
}

import type { ScopeMap, Token } from '#proto/accounts/accounts.ts';
import type { Child } from '#proto/accounts/children.ts';
import { allowsGateway, ruleOf } from '#proto/accounts/scopes.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { isLoopback } from '#proto/document/networks.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { parseAddress } from '../data/ports.ts';
import { formatDuration } from '../terminal/figures.ts';
import { table } from '../terminal/table.ts';
import { instant } from './token-text.ts';

/** Layers below: their permissions, configuration files and state. Pure. */

export type ChildDocument = {
  name: string;
  mode: Mode;
  parent: { url: string; username: string; passwordFile: string };
  repositories: string[];
};

/** Content of the child's configuration file. */
export function documentOf(child: {
  name: string;
  mode: Mode;
  repositories: string[];
  url: string;
}): ChildDocument {
  const { name, mode, repositories, url } = child;
  return { name, mode, parent: { url, username: name, passwordFile: 'password' }, repositories };
}

/** As YAML. Strings are written as JSON strings, which YAML reads as strings with any content. */
export function documentText({ name, mode, parent, repositories }: ChildDocument): string {
  return [
    `name: ${JSON.stringify(name)}`,
    `mode: ${mode}`,
    'parent:',
    ...Object.entries(parent).map(([field, value]) => `  ${field}: ${JSON.stringify(value)}`),
    'repositories:',
    ...repositories.map((pattern) => `  - ${JSON.stringify(pattern)}`),
  ].join('\n');
}

/**
 * Notes about this layer for the person who created a child.
 * @param configuration of this layer; undefined while it does not run
 * @param tokens number of tokens in this layer now
 */
export function notesOn(
  configuration: Pick<Configuration, 'listen' | 'loginServer'> | undefined,
  tokens: number,
): string[] {
  const hidden =
    configuration && !configuration.loginServer && isLoopback(parseAddress(configuration.listen).host);
  return [
    ...(hidden
      ? [`This layer listens on ${configuration.listen}: other machines can't reach it (listen).`]
      : []),
    ...(tokens === 1 ? ['It is the first account of this layer: from now on, all clients must log in.'] : []),
  ];
}

export type KnownChild = {
  name: string;
  /** Absent if its token was deleted. */
  mode?: Mode;
  repositories: string[];
  enabled: boolean;
  /** The activated instance, the time of its activation and of its last request; absent if none is activated. */
  instance?: string;
  since?: number;
  seen?: number;
  /** Time of its start, by its own clock, and address of its last request. */
  started?: number;
  address?: string;
};

/**
 * One child for each token that may activate a child of the same name, and for each activated child without a token.
 */
export function childrenOf(tokens: Token[], scopeMaps: ScopeMap[], activated: Child[]): KnownChild[] {
  const actionsByScopeMap = new Map(scopeMaps.map(({ name, actions }) => [name, actions]));
  const children = new Map<string, KnownChild>();
  for (const token of tokens) {
    const actions = actionsByScopeMap.get(token.scopeMap) ?? [];
    const name = token.name.toLowerCase();
    if (!allowsGateway(actions, name, 'config/write')) continue;
    const rules = actions.map(ruleOf).filter((rule) => rule !== undefined);
    const repositories = [...new Set(rules.map(({ pattern }) => pattern))];
    const mode = rules.some(({ action }) => action === 'content/write') ? 'ReadWrite' : 'ReadOnly';
    children.set(name, { name, mode, repositories, enabled: token.enabled });
  }
  for (const { name, ...activation } of activated) {
    const known = children.get(name) ?? { name, repositories: [], enabled: false };
    children.set(name, { ...known, ...activation });
  }
  return [...children.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @param width to which the table is fitted */
export function describeChildren(children: KnownChild[], now: number, width?: number): string {
  if (children.length === 0) return 'No children: create one with "terrace child create".';
  const rows = children.map(({ name, mode, repositories, enabled, since, seen, address }) => [
    name,
    mode ? `${mode}${enabled ? '' : ', disabled'}` : 'no token',
    since === undefined ? 'never' : instant(since),
    seen === undefined ? '' : `${formatDuration(now - seen)} ago${address ? ` from ${address}` : ''}`,
    repositories.join(', '),
  ]);
  return table([['NAME', 'MODE', 'ACTIVE SINCE', 'LAST SEEN', 'REPOSITORIES'], ...rows], width);
}

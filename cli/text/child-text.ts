import type { ScopeMap, Token } from '#proto/accounts/accounts.ts';
import type { Child } from '#proto/accounts/children.ts';
import { allowsGateway, ruleOf } from '#proto/accounts/scopes.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { isLoopback, parseAddress } from '../data/ports.ts';
import { duration, table } from '../terminal/figures.ts';
import { instant } from './token-text.ts';

/** What layers below may do, how they are configured, and what is known of them. Pure. */

export type ChildDocument = {
  name: string;
  mode: Mode;
  parent: { url: string; username: string; passwordFile: string };
  repositories: string[];
};

/** What stands in the configuration file of the child. */
export function documentOf(child: {
  name: string;
  mode: Mode;
  repositories: string[];
  url: string;
}): ChildDocument {
  const { name, mode, repositories, url } = child;
  return { name, mode, parent: { url, username: name, passwordFile: 'password' }, repositories };
}

/** As YAML: strings in JSON's form are strings there too, whatever they hold. */
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
 * What whoever made a child should know of this layer.
 * @param tokens how many there are now
 */
export function notesOn(
  own: Pick<Configuration, 'listen' | 'loginServer'> | undefined,
  tokens: number,
): string[] {
  const hidden = own && !own.loginServer && isLoopback(parseAddress(own.listen).host);
  return [
    ...(hidden ? [`This layer listens on ${own.listen}: another machine does not reach it (listen).`] : []),
    ...(tokens === 1 ? ['It is the first account here: from now on, all clients have to log in.'] : []),
  ];
}

export type KnownChild = {
  name: string;
  /** Absent where its token is gone. */
  mode?: Mode;
  repositories: string[];
  enabled: boolean;
  /** Which instance is activated, since when, and when it was last heard of; absent where none is. */
  instance?: string;
  since?: number;
  seen?: number;
  /** When it was started, by its own clock, and where it was last heard from. */
  started?: number;
  address?: string;
};

/** Every token that may activate a child of its own name, and what is activated although its token is gone. */
export function childrenOf(tokens: Token[], scopeMaps: ScopeMap[], activated: Child[]): KnownChild[] {
  const may = new Map(scopeMaps.map(({ name, actions }) => [name, actions]));
  const found = new Map<string, KnownChild>();
  for (const token of tokens) {
    const its = may.get(token.scopeMap) ?? [];
    const name = token.name.toLowerCase();
    if (!allowsGateway(its, name, 'config/write')) continue;
    const rules = its.map(ruleOf).filter((rule) => rule !== undefined);
    const repositories = [...new Set(rules.map(({ pattern }) => pattern))];
    const mode = rules.some(({ action }) => action === 'content/write') ? 'ReadWrite' : 'ReadOnly';
    found.set(name, { name, mode, repositories, enabled: token.enabled });
  }
  for (const { name, ...since } of activated) {
    const known = found.get(name) ?? { name, repositories: [], enabled: false };
    found.set(name, { ...known, ...since });
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function describeChildren(children: KnownChild[], now: number): string {
  if (children.length === 0) return 'No children: make one with "terrace child create".';
  const rows = children.map(({ name, mode, repositories, enabled, since, seen, address }) => [
    name,
    mode ? `${mode}${enabled ? '' : ', disabled'}` : 'no token',
    since === undefined ? 'never' : instant(since),
    seen === undefined ? '' : `${duration(now - seen)} ago${address ? ` from ${address}` : ''}`,
    repositories.join(', '),
  ]);
  return table([['NAME', 'MODE', 'ACTIVE SINCE', 'LAST SEEN', 'REPOSITORIES'], ...rows]);
}

import {
  type GatewayAction,
  gatewayActions,
  type RepositoryAction,
  repositoryActions,
} from '#proto/accounts/scopes.ts';
import { isRepository } from '#proto/oci/names.ts';
import { type Grant, Rules } from './authorization.ts';

/**
 * The scopes of Docker's token protocol ("Docker Registry v2 authentication", "Token Scope Documentation"), such as
 * `repository:a/b:pull,push` and `registry:catalog:*`, and what they are among our actions; and, of the same form,
 * `gateway:<child>:config_write` for what a layer below tells of itself.
 */

/** An entry of the `access` claim of a Bearer token. */
export type AccessEntry = { type: string; name: string; actions: string[] };

/** Each action by the name that Docker and Azure Container Registry have for it. */
const nameOf: Record<RepositoryAction, string> = {
  'content/read': 'pull',
  'content/write': 'push',
  'content/delete': 'delete',
  'metadata/read': 'metadata_read',
  'metadata/write': 'metadata_write',
};
const actionOf = new Map(repositoryActions.map((action) => [nameOf[action], action]));

/** What a client means by a name: clients that list tags ask to `pull`. */
const meant = new Map<string, readonly RepositoryAction[]>(
  Object.entries({
    pull: ['content/read', 'metadata/read'],
    push: ['content/write', 'metadata/write'],
    delete: ['content/delete'],
    metadata_read: ['metadata/read'],
    metadata_write: ['metadata/write'],
    '*': repositoryActions,
  }),
);

/** More than any client asks for at once: one asks for a repository and those that it mounts from. */
export const MAX_SCOPES = 100;

/**
 * What of the scopes asked for is given: no more than the rules allow. What is not understood, or not allowed, is
 * left out, and missed where it is needed.
 * @param scopes each may hold several, with spaces between them; at most `MAX_SCOPES` are looked at
 */
export function narrow(scopes: string[], rules: Rules): AccessEntry[] {
  const entries = new Map<string, Set<string>>();
  for (const scope of scopes.flatMap((text) => text.split(' ')).slice(0, MAX_SCOPES)) {
    const { type, name, actions } = parse(scope);
    if (type === 'registry' && name === 'catalog' && actions.includes('*')) {
      entries.set('registry:catalog', new Set(['*']));
    }
    if (type === 'gateway') {
      const child = name.toLowerCase();
      const may = gatewayActions.filter(
        (action) => actions.includes(gatewayName(action)) && rules.allowsGateway(child, action),
      );
      const before = entries.get(`gateway:${child}`) ?? [];
      if (may.length > 0) entries.set(`gateway:${child}`, new Set([...before, ...may.map(gatewayName)]));
      continue;
    }
    if (type !== 'repository' || !isPattern(name)) continue;
    const key = `repository:${name}`;
    const given = entries.get(key) ?? new Set();
    for (const action of actions.flatMap((each) => meant.get(each) ?? [])) {
      // What a pattern comes to is seen when the token is used.
      if (name.endsWith('*') || rules.allows(name, action)) given.add(nameOf[action]);
    }
    if (given.size > 0) entries.set(key, given);
  }
  return [...entries].map(([key, actions]) => ({ ...split(key), actions: [...actions] }));
}

/** What the `access` claim of a Bearer token gives. */
export function grantOf(access: AccessEntry[]): Grant {
  const rules = access.flatMap(({ type, name, actions }) => {
    if (type === 'repository') return actions.map((each) => `repositories/${name}/${actionOf.get(each)}`);
    if (type !== 'gateway') return [];
    const given = gatewayActions.filter((action) => actions.includes(gatewayName(action)));
    return given.map((action) => `gateway/${name}/${action}`);
  });
  return {
    rules: new Rules(rules),
    catalog: access.some(({ type, name }) => type === 'registry' && name === 'catalog'),
  };
}

/** The scope that a client is to ask for, so that it may do this. */
export function scopeFor(action: RepositoryAction, repository: string): string {
  const actions = { 'content/write': 'pull,push', 'metadata/read': 'pull' } as Record<string, string>;
  return `repository:${repository}:${actions[action] ?? nameOf[action]}`;
}

export const gatewayScope = (action: GatewayAction, child: string): string =>
  `gateway:${child}:${gatewayName(action)}`;

const gatewayName = (action: GatewayAction): string => action.replace('/', '_');

export const CATALOG_SCOPE = 'registry:catalog:*';

/** `repository(class):a/b:pull,push`; the class says nothing here. */
function parse(scope: string): AccessEntry {
  const [, type = '', name = '', actions = ''] = /^([a-z]+)(?:\([a-z]*\))?:(.+):([^:]*)$/.exec(scope) ?? [];
  return { type, name, actions: actions.split(',') };
}

function split(key: string): { type: string; name: string } {
  const colon = key.indexOf(':');
  return { type: key.slice(0, colon), name: key.slice(colon + 1) };
}

const isPattern = (name: string): boolean =>
  name === '*' || isRepository(name.endsWith('/*') ? name.slice(0, -2) : name);

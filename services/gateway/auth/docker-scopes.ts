import {
  type GatewayAction,
  gatewayActions,
  type OperateAction,
  operateActions,
  type RepositoryAction,
  repositoryActions,
} from '#proto/accounts/scopes.ts';
import { isRepositoryPattern } from '#proto/oci/repository-pattern.ts';
import { AccessRules, type Grant } from './authorization.ts';

/**
 * Scopes of Docker's token protocol ("Docker Registry v2 authentication", "Token Scope Documentation"), such as
 * `repository:a/b:pull,push` and `registry:catalog:*`, and the actions of Terrace that they stand for. Layers below use
 * the same form for activation and reports, `gateway:<child>:config_write`, and operators for the layer,
 * `operate:layer:read,write`.
 */

/** An entry of the `access` claim of a Bearer token. */
export type AccessEntry = { type: string; name: string; actions: string[] };

/** Each action's name in Docker's and Azure Container Registry's scopes. */
const nameOf: Record<RepositoryAction, string> = {
  'content/read': 'pull',
  'content/write': 'push',
  'content/delete': 'delete',
  'metadata/read': 'metadata_read',
  'metadata/write': 'metadata_write',
};
const actionOf = new Map(repositoryActions.map((action) => [nameOf[action], action]));

/** The actions that a scope name requests: clients that list tags request `pull`. */
const actionsOf = new Map<string, readonly RepositoryAction[]>(
  Object.entries({
    pull: ['content/read', 'metadata/read'],
    push: ['content/write', 'metadata/write'],
    delete: ['content/delete'],
    metadata_read: ['metadata/read'],
    metadata_write: ['metadata/write'],
    '*': repositoryActions,
  }),
);

/** Max scopes of a request. A client requests one repository and those that it mounts from. */
export const MAX_SCOPES = 100;

/**
 * Narrows the requested scopes to those that the rules allow. Unknown or disallowed scopes are left out; a request that
 * needs one is refused later.
 * @param scopes each may hold several, separated by spaces; only the first `MAX_SCOPES` are read
 */
export function narrow(scopes: string[], rules: AccessRules): AccessEntry[] {
  const entries = new Map<string, Set<string>>();
  for (const scope of scopes.flatMap((text) => text.split(' ')).slice(0, MAX_SCOPES)) {
    const { type, name, actions } = parse(scope);
    if (type === 'registry' && name === 'catalog' && actions.includes('*')) {
      entries.set('registry:catalog', new Set(['*']));
    }
    if (type === 'gateway') {
      const child = name.toLowerCase();
      const allowed = gatewayActions.filter(
        (action) => actions.includes(gatewayName(action)) && rules.allowsGateway(child, action),
      );
      const before = entries.get(`gateway:${child}`) ?? [];
      if (allowed.length > 0)
        entries.set(`gateway:${child}`, new Set([...before, ...allowed.map(gatewayName)]));
      continue;
    }
    if (type === 'operate' && name === OPERATE_NAME) {
      const allowed = operateActions.filter(
        (action) => actions.includes(operateName(action)) && rules.allowsOperate(action),
      );
      const before = entries.get(`operate:${OPERATE_NAME}`) ?? [];
      if (allowed.length > 0)
        entries.set(`operate:${OPERATE_NAME}`, new Set([...before, ...allowed.map(operateName)]));
      continue;
    }
    if (type !== 'repository' || !isRepositoryPattern(name)) continue;
    const key = `repository:${name}`;
    const granted = entries.get(key) ?? new Set();
    for (const action of actions.flatMap((each) => actionsOf.get(each) ?? [])) {
      // A pattern is checked against the rules when the token is used.
      if (name.endsWith('*') || rules.allows(name, action)) granted.add(nameOf[action]);
    }
    if (granted.size > 0) entries.set(key, granted);
  }
  return [...entries].map(([key, actions]) => ({ ...split(key), actions: [...actions] }));
}

/** The grant of the `access` claim of a Bearer token. */
export function grantOf(access: AccessEntry[]): Grant {
  const rules = access.flatMap(({ type, name, actions }) => {
    if (type === 'repository') return actions.map((each) => `repositories/${name}/${actionOf.get(each)}`);
    if (type === 'operate' && name === OPERATE_NAME)
      return operateActions.filter((action) => actions.includes(operateName(action)));
    if (type !== 'gateway') return [];
    const granted = gatewayActions.filter((action) => actions.includes(gatewayName(action)));
    return granted.map((action) => `gateway/${name}/${action}`);
  });
  return {
    rules: new AccessRules(rules),
    catalog: access.some(({ type, name }) => type === 'registry' && name === 'catalog'),
  };
}

/** The scope that a client must request for this action. */
export function scopeFor(action: RepositoryAction, repository: string): string {
  const actions = { 'content/write': 'pull,push', 'metadata/read': 'pull' } as Record<string, string>;
  return `repository:${repository}:${actions[action] ?? nameOf[action]}`;
}

export const gatewayScope = (action: GatewayAction, child: string): string =>
  `gateway:${child}:${gatewayName(action)}`;

const gatewayName = (action: GatewayAction): string => action.replace('/', '_');

export const operateScope = (action: OperateAction): string =>
  `operate:${OPERATE_NAME}:${operateName(action)}`;

/** `operate/read`: `read` */
const operateName = (action: OperateAction): string => action.slice(action.indexOf('/') + 1);

/** Operators act on the layer as such. */
const OPERATE_NAME = 'layer';

export const CATALOG_SCOPE = 'registry:catalog:*';

/** `repository(class):a/b:pull,push`; the class is ignored. */
function parse(scope: string): AccessEntry {
  const [, type = '', name = '', actions = ''] = /^([a-z]+)(?:\([a-z]*\))?:(.+):([^:]*)$/.exec(scope) ?? [];
  return { type, name, actions: actions.split(',') };
}

function split(key: string): { type: string; name: string } {
  const colon = key.indexOf(':');
  return { type: key.slice(0, colon), name: key.slice(colon + 1) };
}
